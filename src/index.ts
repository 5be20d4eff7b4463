/*
 * Celery for TypeScript. Importing this loads neither the worker nor any driver.
 */

export { Celery, type CeleryOptions } from './app/celery.ts';
export type { Config, ConfigInput } from './app/config.ts';
export type { RetryOptions, TaskContext } from './app/context.ts';
export type { CommandArgument, CommandArguments, CommandScope, CustomCommandOptions } from './app/custom-commands.ts';
export type {
  DeadLetter,
  DeadLetterChoice,
  DeadLetterDetails,
  DeadLetterList,
  DeadLetters,
  DeadLetterScope,
  RetryChoice,
} from './app/dead-letters.ts';
export type { TaskHooks } from './app/hooks.ts';
export type { DeliveryInfo, TaskRequest } from './app/request.ts';
export type { StandardSchema } from './app/schema.ts';
export type { MovedTasks, MoveTasksOptions, WaitingTask } from './app/move-tasks.ts';
export type { SignalHandler, SignalName, SignalOptions, Signals } from './app/signals.ts';
export type { DefineTask, RemoteTask, Task, TaskOf } from './app/task.ts';
export type { ErrorFilter, TaskOptions } from './app/task-options.ts';
export type { ResultBackend, ResultRecord } from './backends/backend.ts';
export { chain, chord, group } from './canvas/builders.ts';
export type { GroupOptions } from './canvas/builders.ts';
export type { CallOptions, Instant, RetryPolicy } from './canvas/call-options.ts';
export type { CanvasPlan, PlanNode } from './canvas/outline.ts';
export type { StreamedGroup, StreamOptions } from './app/stream-group.ts';
export type { SkewOptions } from './canvas/skew.ts';
export type { StampingVisitor, StampOptions, StampValues } from './canvas/stamp.ts';
export type { AnySignature, Errback, FailedRequest, Signature } from './canvas/types.ts';
export * from './errors.ts';
export { broadcast, type BroadcastQueueOptions } from './messaging/broadcast.ts';
export { exchange, queue, type Exchange, type ExchangeType, type Queue } from './messaging/entity.ts';
export type { ResultTuple } from './protocol/result.ts';
export type { SignatureDict } from './protocol/task-message.ts';
export type { AsyncResult, GetOptions, GroupResult } from './result/async-result.ts';
export { EagerResult } from './result/eager-result.ts';
export type { ResultGraph, ResultNode } from './result/graph.ts';
export type { Progress, ProgressOptions } from './result/progress.ts';
export type { WalkOptions, WalkStep } from './result/walk.ts';
export type { ResultMeta, Snapshot } from './result/snapshot.ts';
export type { RevokeOptions } from './result/source.ts';
export {
  compareStates,
  EXCEPTION_STATES,
  isReady,
  PROPAGATE_STATES,
  READY_STATES,
  State,
  UNREADY_STATES,
} from './result/states.ts';
export type { BeatEntry, PeriodicPolicy, PeriodicTask } from './app/periodic.ts';
export type { PeriodicOptions } from './app/periodic-call.ts';
export { clocked, Clocked } from './schedules/clocked.ts';
export { crontab, Crontab, type CrontabOptions } from './schedules/crontab.ts';
export type { CrontabValue } from './schedules/crontab-field.ts';
export { solar, Solar, type SolarEvent } from './schedules/solar.ts';
export { every, Interval, type IntervalOptions } from './schedules/interval.ts';
export type { Schedule, ScheduleContext } from './schedules/schedule.ts';
export type { Clock } from './runtime/clock.ts';
export type { Duration } from './runtime/duration.ts';
export type { Logger, LogLevel } from './runtime/logger.ts';
export { messageFirst, type MessageFirstLogger, type MessageFirstOptions } from './runtime/message-first.ts';
export type { Random } from './runtime/random.ts';
export type { Transport } from './transports/transport.ts';
