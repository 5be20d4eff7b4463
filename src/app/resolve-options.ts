import { deliveryMode } from '../canvas/wire-options.ts';
import { ImproperlyConfigured } from '../errors.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { nearest } from '../runtime/nearest.ts';
import type { Config } from './config.ts';
import type { StandardSchema } from './schema.ts';
import type { ResolvedTaskOptions, TaskOptions } from './task-options.ts';

/** What `task()` accepts: the options, and what selects an overload. */
export type AnyTaskOptions = TaskOptions & {
  readonly bind?: boolean;
  readonly args?: StandardSchema<never, unknown>;
};

const DEFAULT_RETRY_DELAY_MS = 180_000;
const DEFAULT_MAX_RETRIES = 3;
const BACKOFF_MAX_MS = 600_000;
const RESULT_REPR_MAX = 1024;

/** Every name that `TaskOptions` has; the type keeps both together. */
const NAMES: { readonly [K in keyof Required<AnyTaskOptions>]: true } = {
  acksLate: true,
  acksOnFailure: true,
  acksOnTimeout: true,
  acksOnFailureOrTimeout: true,
  rejectOnWorkerLost: true,
  ignoreResult: true,
  storeErrorsEvenIfIgnored: true,
  trackStarted: true,
  maxRetries: true,
  defaultRetryDelay: true,
  autoretryFor: true,
  dontAutoretryFor: true,
  retryKwargs: true,
  retryBackoff: true,
  retryBackoffMax: true,
  retryJitter: true,
  timeLimit: true,
  softTimeLimit: true,
  pool: true,
  rateLimit: true,
  throws: true,
  sendEvents: true,
  abortable: true,
  trail: true,
  queue: true,
  exchange: true,
  routingKey: true,
  priority: true,
  serializer: true,
  compression: true,
  deliveryMode: true,
  mandatory: true,
  expires: true,
  retryPolicy: true,
  params: true,
  returns: true,
  hooks: true,
  resultReprMax: true,
  strictTyping: true,
  bind: true,
  args: true,
};

function ms(duration: Duration | undefined): number | null {
  return duration === undefined ? null : durationMs(duration);
}

function retries(count: number | null): number | null {
  return count === Infinity ? null : count;
}

/** @throws {ImproperlyConfigured} for an option that does not exist, naming the nearest one that does */
export function checkTaskOptions(task: string, options: object): void {
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(NAMES, name)) continue;
    const guess = nearest(name, Object.keys(NAMES));
    throw new ImproperlyConfigured(
      `task "${task}": unknown option "${name}"${guess === undefined ? '' : `, did you mean "${guess}"?`}`,
    );
  }
}

/** Fills in what a definition leaves out, from the settings and Celery's own defaults. */
export function resolveTaskOptions(task: string, options: AnyTaskOptions, conf: Config): ResolvedTaskOptions {
  checkTaskOptions(task, options);
  const acksBoth = options.acksOnFailureOrTimeout ?? conf.taskAcksOnFailureOrTimeout;
  const { retryBackoff = false } = options;
  try {
    return {
      acksLate: options.acksLate ?? conf.taskAcksLate,
      acksOnFailure: options.acksOnFailure ?? acksBoth,
      acksOnTimeout: options.acksOnTimeout ?? acksBoth,
      rejectOnWorkerLost: options.rejectOnWorkerLost ?? conf.taskRejectOnWorkerLost ?? false,
      ignoreResult: options.ignoreResult ?? conf.taskIgnoreResult,
      storeErrorsEvenIfIgnored: options.storeErrorsEvenIfIgnored ?? conf.taskStoreErrorsEvenIfIgnored,
      trackStarted: options.trackStarted ?? conf.taskTrackStarted,
      maxRetries: retries(options.maxRetries === undefined ? DEFAULT_MAX_RETRIES : options.maxRetries),
      retryDelayMs: ms(options.defaultRetryDelay) ?? DEFAULT_RETRY_DELAY_MS,
      autoretryFor: options.autoretryFor ?? null,
      dontAutoretryFor: options.dontAutoretryFor ?? null,
      retryCountdownMs: ms(options.retryKwargs?.countdown),
      retryMaxRetries:
        options.retryKwargs?.maxRetries === undefined ? undefined : retries(options.retryKwargs.maxRetries),
      retryBackoffMs: retryBackoff === false ? null : retryBackoff === true ? 1000 : durationMs(retryBackoff),
      retryBackoffMaxMs: ms(options.retryBackoffMax) ?? BACKOFF_MAX_MS,
      retryJitter: options.retryJitter ?? true,
      timeLimitMs: ms(options.timeLimit),
      softTimeLimitMs: ms(options.softTimeLimit),
      pool: options.pool ?? null,
      rateLimit: options.rateLimit === undefined ? conf.taskDefaultRateLimit : options.rateLimit,
      throws: options.throws ?? [],
      sendEvents: options.sendEvents ?? true,
      abortable: options.abortable ?? false,
      trail: options.trail ?? true,
      queue: options.queue ?? null,
      exchange: options.exchange ?? null,
      routingKey: options.routingKey ?? null,
      priority: options.priority ?? null,
      serializer: options.serializer ?? null,
      compression: options.compression ?? null,
      deliveryMode: options.deliveryMode === undefined ? null : deliveryMode(options.deliveryMode),
      mandatory: options.mandatory ?? false,
      expiresMs: ms(options.expires),
      retryPolicy: options.retryPolicy ?? null,
      params: options.params ?? null,
      schema: (options.args as StandardSchema<unknown, unknown> | undefined) ?? null,
      returns: options.returns ?? null,
      hooks: options.hooks ?? {},
      resultReprMax: options.resultReprMax ?? RESULT_REPR_MAX,
      strictTyping: options.strictTyping ?? true,
    };
  } catch (cause) {
    throw new ImproperlyConfigured(`task "${task}": ${(cause as Error).message}`, { cause });
  }
}
