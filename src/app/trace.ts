import { Ignore, Reject, Retry } from '../errors.ts';
import type { ResultTuple } from '../protocol/result.ts';
import { formatTraceback, toExceptionRecord, type ExceptionRecord } from '../protocol/exception.ts';
import { bindArguments, checkArity, validateArguments, validateResult } from './arguments.ts';
import type { Celery } from './celery.ts';
import type { RetryRequest } from './context.ts';
import type { Run } from './lineage.ts';
import type { TaskRequest } from './request.ts';
import { autoretryOptions, isAutoretried, planRetry, RetryAsked } from './retry.ts';
import { watchForAbort } from './abort.ts';
import { Replaced } from './replace.ts';
import { RunContext } from './run-context.ts';
import type { RegisteredTask } from './task.ts';
import type { ResultRecord } from '../backends/backend.ts';
import type { Cancellable } from '../runtime/cancellation.ts';

/** What a run is controlled by from outside. */
export interface RunControl extends Cancellable {
  /** Where states of the task's own go. @default the result backend */
  readonly storeState?: (record: ResultRecord) => Promise<void>;
}

/** How a run ended. Nothing has been stored or sent yet. */
export type Outcome = Success | Failure | RetryOutcome | IgnoreOutcome | RejectOutcome;

export interface Success {
  readonly kind: 'success';
  readonly value: unknown;
  /** Handles of what the body published; `publishCallbacks` adds to them. */
  readonly children: readonly ResultTuple[];
}

export interface Failure {
  readonly kind: 'failure';
  readonly error: unknown;
  readonly record: ExceptionRecord;
  readonly traceback: string;
  /** The task lists the error under `throws`. */
  readonly expected: boolean;
  readonly children: readonly ResultTuple[];
}

export interface RetryOutcome {
  readonly kind: 'retry';
  readonly retry: RetryRequest;
  /** What went wrong; null when the task just asked for it. */
  readonly record: ExceptionRecord | null;
  readonly traceback: string | null;
  readonly error: unknown;
}

export interface IgnoreOutcome {
  readonly kind: 'ignore';
  /** What the task said when it threw Ignore; undefined where another one took its place. */
  readonly reason?: string;
}

export interface RejectOutcome {
  readonly kind: 'reject';
  readonly requeue: boolean;
  readonly reason: string;
}

const NO_CHILDREN: readonly ResultTuple[] = Object.freeze([]);

/**
 * Runs a task's body once. Never throws or rejects: whatever happens inside becomes an outcome.
 * No promise where nothing has to be awaited: with promises followed across the process, each costs as much as a task.
 * Order: `taskPrerun`, arguments, `beforeStart`, body, `taskPostrun`. The caller makes the outcome true
 * (`worker/settle.ts`, `app/eager.ts`).
 */
export function trace(
  app: Celery,
  task: RegisteredTask,
  request: TaskRequest,
  cancellation: RunControl,
): Outcome | Promise<Outcome> {
  if (app.lineage.isBare) return traceRun(app, task, request, cancellation);
  return app.lineage.surround(request, async () => traceRun(app, task, request, cancellation));
}

function traceRun(
  app: Celery,
  task: RegisteredTask,
  request: TaskRequest,
  cancellation: RunControl,
): Outcome | Promise<Outcome> {
  const run: Run = { request, children: [], pending: [], joinAllowed: false };
  const { signals } = app;
  const told = signals.has('taskPrerun') || signals.has('taskPostrun') || task.options.abortable;
  return told ? tellAndRun(app, task, cancellation, run) : runBody(app, task, cancellation, run);
}

async function tellAndRun(app: Celery, task: RegisteredTask, cancellation: RunControl, run: Run): Promise<Outcome> {
  const { request } = run;
  if (app.signals.has('taskPrerun')) {
    await app.signals.emit('taskPrerun', { sender: task.name, taskId: request.id, task, request });
  }
  const outcome = task.options.abortable
    ? await ended(app, task, cancellation, run, executeAbortable(app, task, request, cancellation, run))
    : await runBody(app, task, cancellation, run);
  if (app.signals.has('taskPostrun')) {
    const state = STATES[outcome.kind];
    const retval = outcome.kind === 'success' ? outcome.value : outcome.kind === 'failure' ? outcome.error : null;
    await app.signals.emit('taskPostrun', { sender: task.name, taskId: request.id, task, request, state, retval });
  }
  return outcome;
}

function runBody(app: Celery, task: RegisteredTask, control: RunControl, run: Run): Outcome | Promise<Outcome> {
  try {
    const value = app.lineage.run(run, () => execute(app, task, run.request, control));
    return isThenable(value) || run.pending.length > 0
      ? ended(app, task, control, run, value)
      : success(task, run, value);
  } catch (error) {
    return outcomeOf(app, task, run.request, abortReason(error, control), run);
  }
}

/** What becomes of a body that has begun. */
async function ended(
  app: Celery,
  task: RegisteredTask,
  control: RunControl,
  run: Run,
  running: unknown,
): Promise<Outcome> {
  try {
    const value = await running;
    if (run.pending.length > 0) await Promise.all(run.pending);
    return success(task, run, value);
  } catch (error) {
    return outcomeOf(app, task, run.request, abortReason(error, control), run);
  }
}

function success(task: RegisteredTask, run: Run, value: unknown): Success {
  return { kind: 'success', value, children: task.options.trail ? run.children : NO_CHILDREN };
}

function isThenable(value: unknown): boolean {
  return (
    value !== null &&
    (typeof value === 'object' || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}

const STATES: Readonly<Record<Outcome['kind'], string>> = {
  success: 'SUCCESS',
  failure: 'FAILURE',
  retry: 'RETRY',
  ignore: 'IGNORED',
  reject: 'REJECTED',
};

async function executeAbortable(
  app: Celery,
  task: RegisteredTask,
  request: TaskRequest,
  cancellation: Cancellable,
  run: Run,
): Promise<unknown> {
  const watch = await watchForAbort(app, request, cancellation);
  try {
    return await app.lineage.run(run, () => execute(app, task, request, watch));
  } catch (error) {
    throw abortReason(error, watch);
  } finally {
    watch.close();
  }
}

/** Checks the arguments and calls the handler; also what `task.run()` does. */
export function execute(app: Celery, task: RegisteredTask, request: TaskRequest, cancellation: RunControl): unknown {
  const { options } = task;
  const args = bindArguments(
    { name: task.name, bind: task.bind, params: options.params },
    request.args,
    request.kwargs,
  );
  checkArity(task.name, task.arity, args.length);
  const { schema, returns, hooks } = options;
  if (schema === null && returns === null && hooks.beforeStart === undefined)
    return call(app, task, request, cancellation, args);
  return prepareAndCall(app, task, request, cancellation, args);
}

async function prepareAndCall(
  app: Celery,
  task: RegisteredTask,
  request: TaskRequest,
  cancellation: RunControl,
  args: readonly unknown[],
): Promise<unknown> {
  const { schema, returns, hooks } = task.options;
  const checked = schema === null ? args : await validateArguments(task.name, schema, args);
  if (!request.calledDirectly) await hooks.beforeStart?.(request);
  const value = await call(app, task, request, cancellation, checked);
  return returns === null ? value : validateResult(task.name, returns, value);
}

function call(
  app: Celery,
  task: RegisteredTask,
  request: TaskRequest,
  cancellation: RunControl,
  args: readonly unknown[],
): unknown {
  const handler = task.handler as (...args: unknown[]) => unknown;
  return task.bind ? handler(new RunContext(app, task, request, cancellation), ...args) : handler(...args);
}

/** What aborted the signal says more than the AbortError that came of it. */
function abortReason(error: unknown, cancellation: RunControl): unknown {
  if (!(error instanceof Error) || error.name !== 'AbortError') return error;
  const { aborted, reason } = cancellation.signal;
  return aborted && reason instanceof Error ? (reason as unknown) : error;
}

function outcomeOf(app: Celery, task: RegisteredTask, request: TaskRequest, error: unknown, run: Run): Outcome {
  if (error instanceof RetryAsked) return retryOutcome(app, error.retry, error.cause);
  if (error instanceof Replaced && error.outcome !== undefined) {
    return { kind: 'success', value: error.outcome.value, children: run.children };
  }
  if (error instanceof Replaced) return { kind: 'ignore' };
  if (error instanceof Ignore) return { kind: 'ignore', reason: error.message };
  if (error instanceof Reject) return { kind: 'reject', requeue: error.requeue, reason: error.message };
  try {
    if (error instanceof Retry) {
      const options = error.whenMs === undefined ? {} : { eta: new Date(error.whenMs) };
      const asked = planRetry(task, request, { ...options, cause: error.cause }, app.clock.now());
      return retryOutcome(app, asked.retry, error.cause);
    }
    if (isAutoretried(error, task.options)) {
      const options = autoretryOptions(error, task.options, request.retries, app.random);
      return retryOutcome(app, planRetry(task, request, options, app.clock.now()).retry, error);
    }
  } catch (exhausted) {
    return failure(app, task, exhausted, run.children);
  }
  return failure(app, task, error, run.children);
}

function retryOutcome(app: Celery, retry: RetryRequest, cause: unknown): RetryOutcome {
  return cause === undefined || cause === null
    ? { kind: 'retry', retry, record: null, traceback: null, error: null }
    : {
        kind: 'retry',
        retry,
        record: toExceptionRecord(cause, app.errorNames),
        traceback: formatTraceback(cause),
        error: cause,
      };
}

/** A run that ended with `error`, as an outcome. */
export function failure(
  app: Celery,
  task: RegisteredTask | undefined,
  error: unknown,
  children: readonly ResultTuple[] = NO_CHILDREN,
): Failure {
  return {
    kind: 'failure',
    error,
    record: toExceptionRecord(error, app.errorNames),
    traceback: formatTraceback(error),
    expected: task?.options.throws.some((one) => error instanceof one) ?? false,
    children,
  };
}
