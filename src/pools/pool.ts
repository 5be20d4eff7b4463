import type { RegisteredTask } from '../app/task.ts';
import type { TaskRequest } from '../app/request.ts';
import type { Outcome } from '../app/trace.ts';
import type { Cancellable } from '../runtime/cancellation.ts';

/*
 * slot   room for one run
 * job    what a pool runs: the task and its request
 */

export interface Job {
  readonly task: RegisteredTask;
  readonly request: TaskRequest;
}

/** Where handlers run. A pool never acknowledges, stores or publishes. */
export interface Pool extends AsyncDisposable {
  /** Name as `--pool` has it. */
  readonly name: string;
  /** Slots in all. */
  readonly size: number;
  /** Whether `run` can be ended against its will: a hard limit frees the slot, or only gives up on the run. */
  readonly canTerminate: boolean;
  /** Settles with an outcome even when the task throws; rejects only when the child is lost. */
  run(job: Job, cancellation: Cancellable): Promise<Outcome>;
  /** Ids of the processes that run tasks. */
  readonly processes: readonly number[];
  resize(size: number): Promise<void>;
  /** `stats.pool` of remote control. */
  info(): Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}
