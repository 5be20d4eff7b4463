import { MaxRetriesExceededError, Retry } from '../errors.ts';
import { instantText, wireOptions } from '../canvas/wire-options.ts';
import { pythonRepr } from '../protocol/exception.ts';
import { safeRepr } from '../protocol/safe-repr.ts';
import { parseIso } from '../protocol/time.ts';
import { durationMs } from '../runtime/duration.ts';
import type { Random } from '../runtime/random.ts';
import type { RetryOptions, RetryRequest } from './context.ts';
import type { TaskRequest } from './request.ts';
import type { ErrorFilter, ResolvedTaskOptions } from './task-options.ts';
import type { RegisteredTask } from './task.ts';

/** Thrown by `ctx.retry()`; carries what the next message needs. */
export class RetryAsked extends Retry {
  readonly retry: RetryRequest;
  constructor(retry: RetryRequest, cause: unknown) {
    super(retry.message, { cause, whenMs: retry.etaMs ?? undefined });
    this.name = 'Retry';
    this.retry = retry;
  }
}

/**
 * Plans the next run.
 * @throws the cause, or {MaxRetriesExceededError}, once no retry is left
 */
export function planRetry(
  task: RegisteredTask,
  request: TaskRequest,
  options: RetryOptions,
  nowMs: number,
): RetryAsked {
  const { cause } = options;
  const most = options.maxRetries === undefined ? task.options.maxRetries : options.maxRetries;
  const retries = request.retries + 1;
  if (most !== null && retries > most) {
    if (cause !== undefined) throw cause;
    throw new MaxRetriesExceededError(
      `Can't retry ${task.name}[${request.id}] args:${safeRepr(request.args, { tuple: true })} kwargs:${safeRepr(request.kwargs)}`,
    );
  }
  const countdownMs = options.countdown === undefined ? task.options.retryDelayMs : durationMs(options.countdown);
  const etaMs = options.eta === undefined ? (countdownMs > 0 ? nowMs + countdownMs : null) : whenMs(options.eta);
  const when = options.eta === undefined ? `in ${countdownMs / 1000}s` : `at ${instantText(options.eta, 'eta')}`;
  const reason = cause === undefined ? '' : `: ${pythonRepr(cause)}`;
  const { queue, priority, expires, timeLimit, softTimeLimit } = options;
  return new RetryAsked(
    {
      etaMs,
      retries,
      args: options.args ?? request.args,
      kwargs: options.kwargs ?? request.kwargs,
      message: `Retry ${when}${reason}`,
      options: wireOptions({
        ...(queue === undefined ? {} : { queue }),
        ...(priority === undefined ? {} : { priority }),
        ...(expires === undefined ? {} : { expires }),
        ...(timeLimit === undefined ? {} : { timeLimit }),
        ...(softTimeLimit === undefined ? {} : { softTimeLimit }),
      }),
    },
    cause,
  );
}

function whenMs(eta: NonNullable<RetryOptions['eta']>): number {
  return parseIso(instantText(eta, 'eta'));
}

/** Whether an error that escaped the body leads to a retry by itself. */
export function isAutoretried(error: unknown, options: ResolvedTaskOptions): boolean {
  return matches(error, options.autoretryFor) && !matches(error, options.dontAutoretryFor);
}

function matches(error: unknown, filter: ErrorFilter | null): boolean {
  if (filter === null) return false;
  return typeof filter === 'function' ? filter(error) : filter.some((one) => error instanceof one);
}

/** Source: `celery.utils.time.get_exponential_backoff_interval`. Differs: jitter has the clock's resolution, not whole seconds. */
export function autoretryOptions(
  error: unknown,
  options: ResolvedTaskOptions,
  retries: number,
  random: Random,
): RetryOptions {
  const more = options.retryMaxRetries === undefined ? {} : { maxRetries: options.retryMaxRetries };
  if (options.retryBackoffMs === null) {
    return {
      ...more,
      cause: error,
      ...(options.retryCountdownMs === null ? {} : { countdown: options.retryCountdownMs }),
    };
  }
  const factorMs = Math.max(1000, options.retryBackoffMs);
  const full = Math.max(0, Math.min(options.retryBackoffMaxMs, factorMs * 2 ** retries));
  return { ...more, cause: error, countdown: options.retryJitter ? Math.floor(random.next() * (full + 1)) : full };
}
