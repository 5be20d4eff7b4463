/*
 * Every error class of the library, named as in Celery where Celery has one.
 * Each has a stable `code`; `docs/errors.md` lists them and a test holds both together.
 */

const brand: unique symbol = Symbol.for('celeriac.error');

export interface ErrorCause {
  readonly cause?: unknown;
}

/** Base of all; recognised across copies of the library and test sandboxes by a registered symbol. */
export class CeleryError extends Error {
  readonly [brand] = true;
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorCause) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
  static is(value: unknown): value is CeleryError {
    return typeof value === 'object' && value !== null && brand in value;
  }
}

/** Broker or backend out of reach. `recoverable`: connecting again may help. */
export class OperationalError extends CeleryError {
  readonly recoverable: boolean;
  constructor(message: string, options: ErrorCause & { recoverable: boolean; code?: string }) {
    // Or 'ERR_NACK', of a message that a broker in reach does not take.
    super(options.code ?? 'ERR_OPERATIONAL', message, options);
    this.recoverable = options.recoverable;
  }
}

/** A setting, URL or option that cannot work; says what was expected and what came. */
export class ImproperlyConfigured extends CeleryError {
  constructor(message: string, options?: ErrorCause) {
    super('ERR_CONFIG', message, options);
  }
}

/** Bytes that are not what they claim to be: undecodable, refused, or over a limit. */
export class DecodeError extends CeleryError {
  constructor(message: string, options?: ErrorCause & { code?: string }) {
    super(options?.code ?? 'ERR_DECODE', message, options);
  }
}

/** A content type that `acceptContent` does not list. */
export class ContentDisallowed extends DecodeError {
  constructor(message: string, options?: ErrorCause) {
    super(message, { ...options, code: 'ERR_CONTENT_DISALLOWED' });
  }
}

/** A value that the serializer cannot write; the message has the path of the offending field. */
export class EncodeError extends CeleryError {
  constructor(message: string, options?: ErrorCause) {
    super('ERR_ENCODE', message, options);
  }
}

/** A message that is no task message, or one with fields that cannot be read (Celery's InvalidTaskError). */
export class InvalidTaskError extends CeleryError {
  constructor(message: string, options?: ErrorCause) {
    super('ERR_INVALID_TASK', message, options);
  }
}

/** No task of that name is registered here. */
export class NotRegistered extends CeleryError {
  readonly task: string;
  constructor(task: string) {
    super('ERR_NOT_REGISTERED', task);
    this.task = task;
  }
}

/** Arguments that do not fit the task: wrong number, or refused by its schema. */
export class ArgumentsError extends CeleryError {
  constructor(message: string, options?: ErrorCause) {
    super('ERR_ARGUMENTS', message, options);
  }
}

/** `get()` waited as long as it was allowed to. The task may still finish. */
export class ResultTimeoutError extends CeleryError {
  constructor(message = 'The operation timed out.', options?: ErrorCause) {
    super('ERR_RESULT_TIMEOUT', message, options);
  }
}

/** A task's failure as it was stored: the remote type, module, arguments and traceback. */
export class RemoteError extends CeleryError {
  /** Class name on the worker's side, e.g. `ValueError`. */
  readonly type: string;
  /** Module of that class (`builtins`, `celery.exceptions`, `js.errors`, …) or null. */
  readonly module: string | null;
  readonly args: readonly unknown[];
  readonly traceback: string | null;
  constructor(
    type: string,
    module: string | null,
    args: readonly unknown[],
    traceback: string | null,
    options?: ErrorCause & { code?: string },
  ) {
    super(options?.code ?? 'ERR_REMOTE', args.length > 0 ? args.map(String).join(', ') : type, options);
    this.type = type;
    this.module = module;
    this.args = args;
    this.traceback = traceback;
  }
}

/** The task was revoked, expired or terminated; `args[0]` says which. */
export class TaskRevokedError extends RemoteError {
  constructor(reason: string, traceback: string | null = null) {
    super('TaskRevokedError', 'celery.exceptions', [reason], traceback, { code: 'ERR_TASK_REVOKED' });
  }
}

/** The worker died under the task. */
export class WorkerLostError extends RemoteError {
  constructor(message: string, traceback: string | null = null) {
    super('WorkerLostError', 'billiard.exceptions', [message], traceback, { code: 'ERR_WORKER_LOST' });
  }
}

/** The hard time limit ended the task. */
export class TimeLimitExceeded extends RemoteError {
  constructor(limitSeconds: number, traceback: string | null = null) {
    super('TimeLimitExceeded', 'billiard.exceptions', [limitSeconds], traceback, { code: 'ERR_TIME_LIMIT' });
  }
}

/** Reason of `ctx.signal` when the soft time limit passed; a task that lets it escape fails with it. */
export class SoftTimeLimitExceeded extends CeleryError {
  constructor(message = 'SoftTimeLimitExceeded()', options?: ErrorCause) {
    super('ERR_SOFT_TIME_LIMIT', message, options);
  }
}

export class MaxRetriesExceededError extends CeleryError {
  constructor(message: string, options?: ErrorCause) {
    super('ERR_MAX_RETRIES', message, options);
  }
}

/** A chord's header failed, or its body could not be sent. */
export class ChordError extends RemoteError {
  constructor(message: string, traceback: string | null = null, cause?: unknown) {
    super('ChordError', 'celery.exceptions', [message], traceback, {
      code: 'ERR_CHORD',
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

/** A tree of results was walked to a task that is not ready: what it led to is not known yet. */
export class IncompleteStream extends CeleryError {
  /** The task that is not ready. */
  readonly taskId: string;
  constructor(taskId: string) {
    super('ERR_INCOMPLETE_STREAM', `the task ${taskId} is not ready: await it, or walk with { intermediate: true }`);
    this.taskId = taskId;
  }
}

/** The task was asked to end by itself (state ABORTED); the reason of `ctx.signal` in tasks with `abortable: true`. */
export class TaskAborted extends CeleryError {
  constructor() {
    super('ERR_TASK_ABORTED', 'aborted');
  }
}

/** Reason of `ctx.signal` when `workerCancelLongRunningTasksOnConnectionLoss` ends a task; it will run again. */
export class ConnectionLost extends CeleryError {
  constructor() {
    super('ERR_CONNECTION_LOST', 'the connection to the broker was lost; the task will run again');
  }
}

/** Thrown by `ctx.retry()`: ends this run; the next one has been asked for. */
export class Retry extends CeleryError {
  /** Unix time in milliseconds of the next run, or undefined for at once. */
  readonly whenMs: number | undefined;
  constructor(message: string, options?: ErrorCause & { whenMs?: number | undefined }) {
    super('ERR_RETRY', message, options);
    this.whenMs = options?.whenMs;
  }
}

/** Throw it to leave no trace: nothing stored, message acknowledged. */
export class Ignore extends CeleryError {
  constructor(message = 'ignored') {
    super('ERR_IGNORE', message);
  }
}

/** Throw it to refuse the message: back to the queue, or to the dead-letter exchange. */
export class Reject extends CeleryError {
  readonly requeue: boolean;
  constructor(reason = 'rejected', options?: ErrorCause & { requeue?: boolean }) {
    super('ERR_REJECT', reason, options);
    this.requeue = options?.requeue ?? false;
  }
}

/** Somebody else took over meanwhile: the message of a running task (reason of `ctx.signal`), or a schedule that beats share. */
export class LeaseLostError extends CeleryError {
  constructor(message: string, options?: ErrorCause) {
    super('ERR_LEASE_LOST', message, options);
  }
}

/** A queue, exchange or key does not exist, or exists with other properties. */
export class ChannelError extends CeleryError {
  constructor(message: string, options?: ErrorCause & { code?: string }) {
    // Or 'ERR_EXCHANGE_MISSING', of a message to an exchange that is not there.
    super(options?.code ?? 'ERR_CHANNEL', message, options);
  }
}

/** A queue or exchange exists with other properties than were asked for. */
export class TopologyConflictError extends ChannelError {
  /** What was asked for. */
  readonly asked: Readonly<Record<string, unknown>>;
  /** The broker's sentence: the first property that differs, and what it has there. */
  readonly found: string;
  constructor(what: string, asked: Readonly<Record<string, unknown>>, found: string, options?: ErrorCause) {
    const message = `${what} exists with other properties. Asked for: ${JSON.stringify(asked)}. The broker has: ${found}`;
    super(message, { ...options, code: 'ERR_TOPOLOGY_CONFLICT' });
    this.asked = asked;
    this.found = found;
  }
}

/** The backend does not do this (chords on rpc, results when disabled). */
export class NotSupported extends CeleryError {
  constructor(message: string, options?: ErrorCause) {
    super('ERR_NOT_SUPPORTED', message, options);
  }
}

/** Used after `close()`, or `get()` inside a task without `allowInTask`. */
export class UsageError extends CeleryError {
  constructor(message: string, options?: ErrorCause) {
    super('ERR_USAGE', message, options);
  }
}

/** `get()` of a simple queue found no message in time (Python's `queue.Empty`). */
export class Empty extends CeleryError {
  constructor(queue: string) {
    super('ERR_EMPTY', `no message in queue "${queue}"`);
  }
}

/** Reason of `ctx.signal` when the worker shuts down under a running task. */
export class ShutdownAbort extends CeleryError {
  constructor() {
    super('ERR_SHUTDOWN', 'the worker shuts down; the task will run again elsewhere');
  }
}
