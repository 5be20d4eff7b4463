import type { SignatureDict } from '../protocol/task-message.ts';
import type { Duration } from '../runtime/duration.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Expiry, Instant } from '../canvas/call-options.ts';
import type { AnySignature } from '../canvas/types.ts';
import type { Retry } from '../errors.ts';
import type { Celery } from './celery.ts';
import type { TaskRequest } from './request.ts';

/** How a retry differs from the run that asks for it. */
export interface RetryOptions {
  /** Wait this long. @default the task's `defaultRetryDelay` */
  readonly countdown?: Duration;
  readonly eta?: Instant;
  /** What went wrong; stored with RETRY, and thrown once no retry is left. */
  readonly cause?: unknown;
  /** null or Infinity: without end. @default the task's `maxRetries` */
  readonly maxRetries?: number | null;
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /** @default where this message came from */
  readonly queue?: string;
  readonly priority?: number;
  readonly expires?: Expiry;
  readonly timeLimit?: Duration;
  readonly softTimeLimit?: Duration;
}

/** What a handler with `bind: true` receives first. */
export interface TaskContext {
  readonly app: Celery;
  readonly id: string;
  /** Name of the task. */
  readonly task: string;
  /** Retries so far: 0 in the first run. */
  readonly retries: number;
  readonly request: TaskRequest;
  /** Aborts on the soft time limit, on revoke and on cold shutdown; `reason` says which. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Publishes the retry now and lets the body finish. */
  retry(options: RetryOptions & { readonly throw: false }): Promise<Retry>;
  /** Always throws. Write `throw ctx.retry()` so that control flow reads correctly. */
  retry(options?: RetryOptions): never;
  /**
   * Opens Node's inspector on a free port (`CELERY_RDB_HOST`, `CELERY_RDB_PORT`), logs where, and pauses the process this
   * task runs in once a debugger is attached. Use a pool of processes: in the `async` pool the whole worker pauses.
   * Source: `set_trace` of celery.contrib.rdb.
   */
  debugger(): Promise<void>;
  /** Stores a state of the application's own, readable while the task runs. */
  update(state: string, meta?: unknown): Promise<void>;
  /** `update('PROGRESS', { current, total, ...more })` */
  progress(current: number, total: number, more?: Readonly<Record<string, unknown>>): Promise<void>;
  /** Publishes a task event of the application's own; `type` begins with `task-`. */
  sendEvent(type: string, fields?: Readonly<Record<string, unknown>>): Promise<void>;
  /** Lets another signature run in this task's place. Write `throw await ctx.replace(sig)`. */
  replace(signature: AnySignature): Promise<never>;
  /**
   * Makes a signature one more member of the header that this task belongs to, and sends it.
   * @param options.lazy do not send it: the body waits until you do
   * @returns the signature under its id
   * @throws {UsageError} outside chords
   * @throws {NotSupported} where the result backend does not count members
   */
  addToChord<S extends AnySignature>(signature: S, options?: { readonly lazy?: boolean }): Promise<S>;
}

/** A run asks to be done again: everything the new message needs besides the request. */
export interface RetryRequest {
  /** Unix time in milliseconds; null: at once. */
  readonly etaMs: number | null;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Number of the run that is asked for; 1 for the first retry. */
  readonly retries: number;
  /** `Retry in 30s: ValueError('x')`, for logs. */
  readonly message: string;
  /** Options as in signatures, that win over the request's. */
  readonly options: SignatureDict['options'];
}
