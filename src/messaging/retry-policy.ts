import { durationMs, type Duration } from '../runtime/duration.ts';

/** How an operation is tried again while the broker is out of reach; kombu's words. */
export interface RetryPolicy {
  /** Tries after the first one; null: until `timeout`. 0: the first failure is final. @default null */
  readonly maxRetries?: number | null | undefined;
  /** Wait before the first further try. @default 0 */
  readonly intervalStart?: Duration | undefined;
  /** Added to the wait for each try. @default '0.2s' */
  readonly intervalStep?: Duration | undefined;
  /** Longest wait between two tries. @default '1s' */
  readonly intervalMax?: Duration | undefined;
  /** Longest time for all tries together. @default '30s' */
  readonly timeout?: Duration | undefined;
  /** Told about each failure before the wait. */
  readonly errback?: ((error: Error, waitMs: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A policy with its defaults, in milliseconds. */
export interface RetryPlan {
  readonly maxRetries: number;
  readonly timeoutMs: number;
  /** How long to wait after this many failures, 1 or more. */
  waitMs(failures: number): number;
}

/** Differs: kombu begins with a second and goes on without end. */
export function retryPlan(policy: RetryPolicy): RetryPlan {
  const startMs = durationMs(policy.intervalStart ?? 0);
  const stepMs = durationMs(policy.intervalStep ?? 200);
  const maxMs = durationMs(policy.intervalMax ?? 1000);
  return {
    maxRetries: policy.maxRetries ?? Infinity,
    timeoutMs: durationMs(policy.timeout ?? 30_000),
    waitMs: (failures) => Math.min(maxMs, startMs + stepMs * (failures - 1)),
  };
}
