import type { RegisteredTask } from '../app/task.ts';
import type { TaskRequest } from '../app/request.ts';
import type { Outcome } from '../app/trace.ts';
import { WorkerLostError } from '../errors.ts';
import type { Message } from '../protocol/message.ts';
import type { TaskBody, TaskHeaders } from '../protocol/task-message.ts';
import type { Cancellation } from '../runtime/cancellation.ts';

/*
 * slot   room for one run
 * child  a process or thread that runs handlers; it has one slot or more
 * job    what a pool runs: the task and its request, or the message it came in
 */

export interface Job {
  readonly task: RegisteredTask;
  /** What the handler sees. Without arguments where the pool takes messages as they came (`takesMessages`). */
  readonly request: TaskRequest;
  /** For pools that take messages: what is to be decoded where the task runs. */
  readonly message: Message;
  readonly headers: TaskHeaders;
  /** Set where the body had to be read early (protocol 1). */
  readonly body: TaskBody | undefined;
  /**
   * Called once, when the run really begins; only then limits count and the message may be acknowledged.
   * @param pid process it will run in
   * @returns false when the run is not wanted any more; the pool then settles with `NOT_RUN`
   */
  accept(pid: number): boolean | Promise<boolean>;
  /** Set by pools that take messages: the body names callbacks, a chain or a chord, so the parent has to read it. */
  followed: boolean;
}

/** What `run` settles with when `accept` said no. Nobody looks at it. */
export const NOT_RUN: Outcome = Object.freeze({ kind: 'ignore' });

/** Where handlers run. A pool never acknowledges, stores or publishes. */
export interface Pool extends AsyncDisposable {
  /** Name as `--pool` has it. */
  readonly name: string;
  /** Slots in all. */
  readonly size: number;
  /** Slots of one child; `pool_grow` counts children. @default 1 */
  readonly slotsPerChild?: number;
  /** Whether `run` can be ended against its will: a hard limit frees the slot, or only gives up on the run. */
  readonly canTerminate: boolean;
  /** Bodies are decoded where the task runs; `Job.request` has no arguments. @default false */
  readonly takesMessages?: boolean;
  /** Resolves when every child is up and has loaded the app. @throws when one cannot */
  start?(): Promise<void>;
  /** Settles, never rejects, with the reason for which the pool gave up: its children die as soon as they start. */
  readonly failed?: Promise<Error>;
  /**
   * Gives an outcome even when the task throws; at once where the task's handler gave no promise.
   * Rejects with {ChildLostError} when its child is gone, with {DecodeError}, {ContentDisallowed} or
   * {InvalidTaskError} when the message cannot be read there.
   */
  run(job: Job, cancellation: Cancellation): Outcome | Promise<Outcome>;
  /**
   * Ends a run by ending its child; resolves when that is over. The run rejects.
   * @param signal name or number, as the person who revoked it said; what is still alive a moment later is killed
   */
  terminate?(job: Job, signal: NodeJS.Signals | number): Promise<void>;
  /** Ids of the processes that run tasks. */
  readonly processes: readonly number[];
  /** Where the code of each child is right now; undefined for one that waits. Left out where that cannot be known. */
  stacks?(): Promise<ReadonlyMap<number, readonly string[] | string | undefined>>;
  /** @param size slots in all */
  resize(size: number): Promise<void>;
  /** Replaces every child by one that loads the app anew; what runs ends first. Left out where that is impossible. */
  restart?(): Promise<void>;
  /** `stats.pool` of remote control. */
  info(): Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}

/** The child under a run is gone. */
export class ChildLostError extends WorkerLostError {
  /** It was ended because of another run: the message is not to blame. */
  readonly bystander: boolean;
  constructor(message: string, bystander: boolean) {
    super(message);
    this.name = 'WorkerLostError';
    this.bystander = bystander;
  }
}
