import { ImproperlyConfigured } from '../errors.ts';
import { parseIso, toIso } from '../protocol/time.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { nearest } from '../runtime/nearest.ts';
import type { CallOptions, Expiry, Instant, RetryPolicy } from './call-options.ts';
import type { AnySignature } from './types.ts';

/** Call options as they travel in signatures: Celery's names, seconds, ISO 8601. */
export type WireOptions = Readonly<Record<string, unknown>>;

const NO_OPTIONS: WireOptions = Object.freeze({});

/** A duration's text or number; anything else in `expires` is a moment. */
const DURATION_TEXT = /^\s*-?\d+(?:\.\d+)?\s*(?:ms|s|m|h|d)\s*$/;

function seconds(duration: Duration): number {
  return durationMs(duration) / 1000;
}

/** ISO 8601 text of a moment: text as it was given, else UTC with milliseconds. */
export function instantText(instant: Instant, name: string): string {
  if (typeof instant === 'string') {
    parseIso(instant);
    return instant;
  }
  const ms = instant instanceof Date ? instant.getTime() : instant.epochMilliseconds;
  if (typeof ms !== 'number' || !Number.isFinite(ms)) {
    throw new ImproperlyConfigured(
      `${name}: expected a valid Date, Temporal.Instant or ISO 8601 text, got ${JSON.stringify(instant)}`,
    );
  }
  return toIso(ms);
}

function expiry(value: Expiry): number | string {
  if (typeof value === 'number' || (typeof value === 'string' && DURATION_TEXT.test(value))) {
    return seconds(value as Duration);
  }
  return instantText(value, 'expires');
}

function links(value: AnySignature | readonly AnySignature[]): SignatureDict[] {
  return (Array.isArray(value) ? (value as readonly AnySignature[]) : [value as AnySignature]).map((one) =>
    one.toJSON(),
  );
}

export function deliveryMode(value: NonNullable<CallOptions['deliveryMode']>): 1 | 2 {
  return value === 'transient' || value === 1 ? 1 : 2;
}

/** Names and units of `task_publish_retry_policy`. */
function policy({ maxRetries, intervalStart, intervalStep, intervalMax }: RetryPolicy): Record<string, unknown> {
  const wire: Record<string, unknown> = {};
  if (maxRetries !== undefined) wire['max_retries'] = maxRetries;
  if (intervalStart !== undefined) wire['interval_start'] = seconds(intervalStart);
  if (intervalStep !== undefined) wire['interval_step'] = seconds(intervalStep);
  if (intervalMax !== undefined) wire['interval_max'] = seconds(intervalMax);
  return wire;
}

type Write = (wire: Record<string, unknown>, value: never) => void;

function as(name: string, convert: (value: never) => unknown = (value) => value): Write {
  return (wire, value) => {
    wire[name] = convert(value);
  };
}

/** Every call option with its place on the wire. `kwargs`, `signal` and the like say nothing about the message. */
const WRITERS: { readonly [K in keyof Required<CallOptions>]: Write | null } = {
  countdown: as('countdown', seconds),
  eta: as('eta', (value: Instant) => instantText(value, 'eta')),
  expires: as('expires', expiry),
  kwargs: null,
  queue: as('queue'),
  exchange: as('exchange'),
  routingKey: as('routing_key'),
  priority: as('priority'),
  taskId: as('task_id'),
  headers: as('headers'),
  properties: as('properties'),
  serializer: as('serializer'),
  compression: as('compression'),
  link: as('link', links),
  linkError: as('link_error', links),
  ignoreResult: as('ignore_result'),
  timeLimit: as('time_limit', seconds),
  softTimeLimit: as('soft_time_limit', seconds),
  shadow: as('shadow'),
  replyTo: as('reply_to'),
  argsRepr: as('argsrepr'),
  kwargsRepr: as('kwargsrepr'),
  deliveryMode: as('delivery_mode', deliveryMode),
  mandatory: as('mandatory'),
  retry: as('retry'),
  retryPolicy: as('retry_policy', policy),
  publishTimeout: null,
  declare: null,
  signal: null,
  rootId: as('root_id'),
  parentId: as('parent_id'),
  groupId: as('group_id'),
  groupIndex: as('group_index'),
};

/**
 * Checks call options and writes them as signatures carry them.
 * @throws {ImproperlyConfigured} for an option that does not exist, naming the nearest one that does
 */
export function wireOptions(options: CallOptions | undefined): WireOptions {
  if (options === undefined) return NO_OPTIONS;
  const wire: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(WRITERS, name)) throw unknownOption(name, Object.keys(WRITERS));
    const write = WRITERS[name as keyof CallOptions];
    if (value === undefined || write === null) continue;
    try {
      write(wire, value as never);
    } catch (cause) {
      if (cause instanceof ImproperlyConfigured) throw cause;
      throw new ImproperlyConfigured(`call option "${name}": ${(cause as Error).message}`, { cause });
    }
  }
  return wire;
}

function unknownOption(name: string, known: readonly string[]): ImproperlyConfigured {
  const guess = nearest(name, known);
  return new ImproperlyConfigured(
    `unknown call option "${name}"${guess === undefined ? `: expected one of ${known.join(', ')}` : `: did you mean "${guess}"?`}`,
  );
}
