import type { TaskRequest } from './request.ts';

/**
 * Called around each run of one task, in this order: `beforeStart`, the body, then (after what follows was sent
 * and the result was stored) `onSuccess`, `onFailure` or `onRetry`, then `afterReturn`.
 * An error in `beforeStart` fails the task; errors in the others are logged.
 */
export interface TaskHooks {
  readonly beforeStart?: (request: TaskRequest) => unknown;
  readonly onSuccess?: (value: unknown, request: TaskRequest) => unknown;
  readonly onFailure?: (error: unknown, request: TaskRequest, traceback: string | null) => unknown;
  readonly onRetry?: (error: unknown, request: TaskRequest, traceback: string | null) => unknown;
  /** Not after a retry, `Ignore` or `Reject`. */
  readonly afterReturn?: (state: string, valueOrError: unknown, request: TaskRequest) => unknown;
}
