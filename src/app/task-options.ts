import type { Duration } from '../runtime/duration.ts';
import type { RetryPolicy } from '../canvas/call-options.ts';
import type { StandardSchema } from './schema.ts';
import type { TaskHooks } from './hooks.ts';

/** A class of errors, however its constructor looks. */
export type ErrorClass = abstract new (...args: never[]) => Error;

/** Which errors: classes, or a function that decides. */
export type ErrorFilter = readonly ErrorClass[] | ((error: unknown) => boolean);

/** What can be said about a task when it is defined: Celery's task attributes in camelCase. */
export interface TaskOptions {
  /** Acknowledge after the run instead of before it. @default setting `taskAcksLate` */
  readonly acksLate?: boolean;
  /** With `acksLate`: acknowledge failed runs too; else they are rejected without requeue. */
  readonly acksOnFailure?: boolean;
  /** With `acksLate`: acknowledge runs over the hard limit too; else they go back to the queue. */
  readonly acksOnTimeout?: boolean;
  /** Sets `acksOnFailure` and `acksOnTimeout`. @default setting `taskAcksOnFailureOrTimeout` */
  readonly acksOnFailureOrTimeout?: boolean;
  /** With `acksLate`: run again when the worker died. @default setting `taskRejectOnWorkerLost` */
  readonly rejectOnWorkerLost?: boolean;
  readonly ignoreResult?: boolean;
  readonly storeErrorsEvenIfIgnored?: boolean;
  /** Store STARTED when a run begins. */
  readonly trackStarted?: boolean;
  /** Retries after the first run; null or Infinity: without end. @default 3 */
  readonly maxRetries?: number | null;
  /** Wait before a retry that names none. @default '180s' */
  readonly defaultRetryDelay?: Duration;
  /** Errors that lead to a retry by themselves. */
  readonly autoretryFor?: ErrorFilter;
  /** Exceptions to `autoretryFor`. */
  readonly dontAutoretryFor?: ErrorFilter;
  /** Options of such a retry. */
  readonly retryKwargs?: { readonly countdown?: Duration; readonly maxRetries?: number | null };
  /** Wait twice as long each time, beginning with this long (`true`: one second). @default false */
  readonly retryBackoff?: boolean | Duration;
  /** @default '600s' */
  readonly retryBackoffMax?: Duration;
  /** Wait a random part of the time instead of all of it. @default true */
  readonly retryJitter?: boolean;
  /** Hard limit: the run is ended. @default setting `taskTimeLimit` */
  readonly timeLimit?: Duration;
  /** Soft limit: `ctx.signal` aborts. @default setting `taskSoftTimeLimit` */
  readonly softTimeLimit?: Duration;
  /** Pool that runs it, whatever the worker's own is: `process` for what computes, `async` for what waits. */
  readonly pool?: string;
  /** `'10/m'`, or a number per second; for each worker by itself. */
  readonly rateLimit?: string | number | null;
  /** Errors that are expected: logged without traceback, stored as FAILURE all the same. */
  readonly throws?: readonly ErrorClass[];
  /** `false`: no events about this task. @default true */
  readonly sendEvents?: boolean;
  /** `ctx.signal` aborts when somebody stores ABORTED for the task: `result.abort()`, also in Python. @default false */
  readonly abortable?: boolean;
  /** `false`: what the task sends is not kept as its children. @default true */
  readonly trail?: boolean;
  readonly queue?: string;
  readonly exchange?: string;
  readonly routingKey?: string;
  readonly priority?: number;
  readonly serializer?: string;
  readonly compression?: string;
  readonly deliveryMode?: 1 | 2 | 'transient' | 'persistent';
  readonly mandatory?: boolean;
  readonly expires?: Duration;
  readonly retryPolicy?: RetryPolicy;
  /** Names of the positions, so that callers may use keywords. */
  readonly params?: readonly string[];
  /** Checks and converts what the handler returned, before it is stored; of the handler's own result type. */
  readonly returns?: StandardSchema<unknown, unknown>;
  readonly hooks?: TaskHooks;
  /** Longest text of a result in logs and events. @default 1024 */
  readonly resultReprMax?: number;
  /** `false`: argument counts are not checked in the caller. @default true */
  readonly strictTyping?: boolean;
}

/** Options of a task whose handler takes the context first. */
export type WithContext = TaskOptions & { readonly bind: true };
export type WithoutContext = TaskOptions & { readonly bind?: false };

/** Options with every default filled in; durations in milliseconds. */
export interface ResolvedTaskOptions {
  readonly acksLate: boolean;
  readonly acksOnFailure: boolean;
  readonly acksOnTimeout: boolean;
  readonly rejectOnWorkerLost: boolean;
  readonly ignoreResult: boolean;
  readonly storeErrorsEvenIfIgnored: boolean;
  readonly trackStarted: boolean;
  /** null: without end */
  readonly maxRetries: number | null;
  readonly retryDelayMs: number;
  readonly autoretryFor: ErrorFilter | null;
  readonly dontAutoretryFor: ErrorFilter | null;
  readonly retryCountdownMs: number | null;
  /** undefined: as `maxRetries` */
  readonly retryMaxRetries: number | null | undefined;
  /** null: no backoff */
  readonly retryBackoffMs: number | null;
  readonly retryBackoffMaxMs: number;
  readonly retryJitter: boolean;
  /** null: the worker's own limit, if any */
  readonly timeLimitMs: number | null;
  readonly softTimeLimitMs: number | null;
  /** null: the worker's */
  readonly pool: string | null;
  readonly rateLimit: string | number | null;
  readonly throws: readonly ErrorClass[];
  readonly sendEvents: boolean;
  readonly abortable: boolean;
  readonly trail: boolean;
  readonly queue: string | null;
  readonly exchange: string | null;
  readonly routingKey: string | null;
  readonly priority: number | null;
  readonly serializer: string | null;
  readonly compression: string | null;
  readonly deliveryMode: 1 | 2 | null;
  readonly mandatory: boolean;
  readonly expiresMs: number | null;
  readonly retryPolicy: RetryPolicy | null;
  readonly params: readonly string[] | null;
  readonly schema: StandardSchema<unknown, unknown> | null;
  readonly returns: StandardSchema<unknown, unknown> | null;
  readonly hooks: TaskHooks;
  readonly resultReprMax: number;
  readonly strictTyping: boolean;
}
