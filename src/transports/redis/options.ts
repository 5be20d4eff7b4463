import { ImproperlyConfigured } from '../../errors.ts';

/** Who to be on the server. Asked again for every connection, so that rotated passwords are picked up. */
export type CredentialProvider = () =>
  | { readonly username?: string | undefined; readonly password: string }
  | Promise<{ readonly username?: string | undefined; readonly password: string }>;

/** The transport options of spec redis.md 1, checked. Peers on one database must agree on those marked (shared). */
export interface RedisSettings {
  /** (shared) Between queue and priority step, and between the fields of a binding. */
  readonly sep: string;
  /** (shared) Ascending, the first is 0. */
  readonly prioritySteps: readonly number[];
  /** (shared) */
  readonly unackedKey: string;
  /** (shared) */
  readonly unackedIndexKey: string;
  /** (shared) */
  readonly unackedMutexKey: string;
  readonly unackedMutexExpireMs: number;
  readonly visibilityTimeoutMs: number;
  /** Most messages restored in one sweep. */
  readonly restoreLimit: number;
  /** (shared) `/{db}.` with the number filled in later, or empty. */
  readonly fanoutPrefix: string;
  /** (shared) */
  readonly fanoutPatterns: boolean;
  /** (shared) */
  readonly globalKeyprefix: string;
  readonly queueOrderStrategy: 'round_robin' | 'sorted' | 'priority';
  /** Longest pause between two looks at a queue that cannot be watched. */
  readonly pollingIntervalMs: number;
  /** A connection without an answer for so long is dead. */
  readonly socketTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** A connection that has been silent for so long is asked whether it lives. */
  readonly healthCheckIntervalMs: number;
  readonly socketKeepalive: boolean;
  readonly clientName: string | undefined;
  readonly masterName: string | undefined;
  readonly sentinelKwargs: Readonly<Record<string, unknown>>;
  readonly ssl: Readonly<Record<string, unknown>> | undefined;
  readonly credentials: CredentialProvider | undefined;
  readonly deadletterQueue: string | undefined;
  /** Peers take over what this process holds when it has been silent for so long. */
  readonly leaseMs: number;
  /** How often messages of dead peers, expired ones and due delayed ones are looked for. */
  readonly sweepIntervalMs: number;
}

const DEFAULT_STEPS = [0, 3, 6, 9];

/** @throws {ImproperlyConfigured} for a value that cannot work; names that are not ours are left to other layers */
export function redisSettings(options: Readonly<Record<string, unknown>>): RedisSettings {
  const read = reader(options);
  return {
    sep: read.text('sep', '\x06\x16'),
    prioritySteps: prioritySteps(read.raw('priority_steps')),
    unackedKey: read.text('unacked_key', 'unacked'),
    unackedIndexKey: read.text('unacked_index_key', 'unacked_index'),
    unackedMutexKey: read.text('unacked_mutex_key', 'unacked_mutex'),
    unackedMutexExpireMs: read.seconds('unacked_mutex_expire', 300),
    visibilityTimeoutMs: read.seconds('visibility_timeout', 3600),
    restoreLimit: read.number('unacked_restore_limit', 10_000),
    fanoutPrefix: fanoutPrefix(read.raw('fanout_prefix')),
    fanoutPatterns: read.raw('fanout_patterns') !== false,
    globalKeyprefix: read.text('global_keyprefix', ''),
    queueOrderStrategy: strategy(read.raw('queue_order_strategy')),
    pollingIntervalMs: read.seconds('polling_interval', 1),
    socketTimeoutMs: read.seconds('socket_timeout', 10),
    connectTimeoutMs: read.seconds('socket_connect_timeout', 10),
    healthCheckIntervalMs: Math.min(read.seconds('health_check_interval', 5), 25_000),
    socketKeepalive: read.raw('socket_keepalive') !== false,
    clientName: read.optional('client_name'),
    masterName: read.optional('master_name'),
    sentinelKwargs: (read.raw('sentinel_kwargs') as Record<string, unknown> | undefined) ?? {},
    ssl: mapping(read.raw('ssl')),
    credentials: credentials(read.raw('credential_provider')),
    deadletterQueue: read.optional('deadletter_queue'),
    leaseMs: read.seconds('lease_ttl', 15),
    sweepIntervalMs: read.seconds('sweep_interval', 3),
  };
}

interface Reader {
  raw(name: string): unknown;
  text(name: string, fallback: string): string;
  optional(name: string): string | undefined;
  number(name: string, fallback: number): number;
  /** Seconds, as Celery has them; milliseconds come out. */
  seconds(name: string, fallback: number): number;
}

/** Options are found as Celery writes them (`visibility_timeout`) and in camelCase. */
function reader(options: Readonly<Record<string, unknown>>): Reader {
  const raw = (name: string): unknown =>
    options[name] ?? options[name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())] ?? undefined;
  const number = (name: string, fallback: number): number => {
    const value = raw(name) ?? fallback;
    if (typeof value === 'number' && value > 0) return value;
    throw new ImproperlyConfigured(
      `expected the transport option ${name} to be a positive number, got ${JSON.stringify(value)}`,
    );
  };
  const optional = (name: string): string | undefined => {
    const value = raw(name);
    if (value === undefined || typeof value === 'string') return value;
    throw new ImproperlyConfigured(`expected the transport option ${name} to be text, got ${JSON.stringify(value)}`);
  };
  return {
    raw,
    number,
    optional,
    text: (name, fallback) => optional(name) ?? fallback,
    seconds: (name, fallback) => number(name, fallback) * 1000,
  };
}

function prioritySteps(value: unknown): readonly number[] {
  if (value === undefined) return DEFAULT_STEPS;
  const steps = value as readonly number[];
  const ascending =
    Array.isArray(value) && steps.every((step, i) => Number.isInteger(step) && (i === 0 || step > (steps[i - 1] ?? 0)));
  if (!ascending || steps[0] !== 0) {
    throw new ImproperlyConfigured(
      `expected the transport option priority_steps to be ascending integers that start with 0, got ${JSON.stringify(value)}`,
    );
  }
  return [...steps];
}

function fanoutPrefix(value: unknown): string {
  if (value === undefined || value === true) return '/{db}.';
  if (value === false) return '';
  if (typeof value === 'string') return value;
  throw new ImproperlyConfigured(`expected fanout_prefix to be true, false or text, got ${JSON.stringify(value)}`);
}

function strategy(value: unknown): RedisSettings['queueOrderStrategy'] {
  if (value === undefined) return 'round_robin';
  if (value === 'round_robin' || value === 'sorted' || value === 'priority') return value;
  throw new ImproperlyConfigured(
    `expected queue_order_strategy to be round_robin, sorted or priority, got ${JSON.stringify(value)}`,
  );
}

function mapping(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (value === undefined || value === false) return undefined;
  if (value === true) return {};
  if (typeof value === 'object') return value as Record<string, unknown>;
  throw new ImproperlyConfigured(`expected ssl to be true or an object of TLS options, got ${JSON.stringify(value)}`);
}

function credentials(value: unknown): CredentialProvider | undefined {
  if (value === undefined || typeof value === 'function') return value as CredentialProvider | undefined;
  throw new ImproperlyConfigured(
    'expected credential_provider to be a function that returns { username?, password }; names of Python classes mean nothing here',
  );
}
