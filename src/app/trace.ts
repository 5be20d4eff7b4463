import type { ExceptionRecord } from '../protocol/exception.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { Celery } from './celery.ts';
import type { RetryRequest } from './context.ts';
import type { TaskRequest } from './request.ts';
import type { RegisteredTask } from './task.ts';

/** How a run ended. Nothing has been stored or sent yet. */
export type Outcome = Success | Failure | RetryOutcome | { readonly kind: 'ignore' } | RejectOutcome;

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

export interface RejectOutcome {
  readonly kind: 'reject';
  readonly requeue: boolean;
  readonly reason: string;
}

export interface TraceOptions {
  readonly signal: AbortSignal;
}

/**
 * Runs a task's body once. Never rejects: whatever happens inside becomes an outcome.
 * Order: schema, `beforeStart`, body. The caller makes the outcome true (`worker/settle.ts`, `app/eager.ts`).
 */
export declare function trace(
  app: Celery,
  task: RegisteredTask,
  request: TaskRequest,
  options: TraceOptions,
): Promise<Outcome>;
