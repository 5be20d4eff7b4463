import { ImproperlyConfigured } from '../../errors.ts';

/** How to log in; the names of SASL mechanisms. */
export type LoginMethod = 'PLAIN' | 'AMQPLAIN' | 'EXTERNAL';

/** The transport options that this driver knows, checked. Names as in Celery, or in camelCase; durations in seconds. */
export interface AmqpSettings {
  /** Longest wait for a connection, login included. */
  readonly connectTimeoutMs: number;
  /** Longest wait for the broker's answer to a declaration and the like; after it the connection is given up. */
  readonly answerTimeoutMs: number;
  /** Asked for; the broker may lower it. 0: none. */
  readonly heartbeatSeconds: number;
  /** How often a consumer asks the broker whether its queue is there. */
  readonly probeIntervalMs: number;
  readonly loginMethod: LoginMethod;
  /** `false`: publishing resolves when the bytes were handed to the socket. */
  readonly confirms: boolean;
  /** Most bytes of one frame; 0: as the broker likes. */
  readonly frameMax: number;
  readonly channelMax: number;
  /** Shown by the management pages: `connection_name` and so on. */
  readonly clientProperties: Readonly<Record<string, unknown>>;
  readonly ssl: Readonly<Record<string, unknown>> | undefined;
  readonly delayedDelivery: DelayedDelivery | undefined;
  readonly declare: DeclareMode;
}

/**
 * What happens to queues and exchanges that outlive connections: they are created with their bindings; or have to exist
 * and are bound; or are used unseen. What belongs to one connection alone is always created.
 */
export type DeclareMode = 'create' | 'passive' | 'never';

/** Celery's native delayed delivery; undefined where it is off. */
export interface DelayedDelivery {
  readonly queueType: 'quorum' | 'classic';
}

type Options = Readonly<Record<string, unknown>>;

/** @throws {ImproperlyConfigured} for a value that cannot work; names that are not ours are left to other layers */
export function amqpSettings(options: Options): AmqpSettings {
  const read = reader(options);
  return {
    connectTimeoutMs: read.seconds(['connect_timeout', 'socket_connect_timeout'], 10),
    answerTimeoutMs: read.seconds(['answer_timeout'], 20),
    heartbeatSeconds: read.number('heartbeat', 20),
    probeIntervalMs: read.seconds(['probe_interval'], 10),
    loginMethod: loginMethod(read.raw('login_method')),
    confirms: read.raw('confirm_publish') !== false,
    frameMax: read.number('frame_max', 0),
    channelMax: read.number('channel_max', 0),
    clientProperties: mapping('client_properties', read.raw('client_properties')) ?? {},
    ssl: ssl(read.raw('ssl')),
    delayedDelivery: delayedDelivery(
      read.raw('native_delayed_delivery'),
      read.raw('native_delayed_delivery_queue_type'),
    ),
    declare: declareMode(read.raw('declare')),
  };
}

function reader(options: Options) {
  const raw = (name: string): unknown =>
    options[name] ?? options[name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())] ?? undefined;
  const number = (name: string, otherwise: number): number => {
    const value = raw(name);
    if (value === undefined) return otherwise;
    const read = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    if (typeof read === 'number' && Number.isFinite(read) && read >= 0) return read;
    throw new ImproperlyConfigured(`expected ${name} to be a number of 0 or more, got ${JSON.stringify(value)}`);
  };
  return {
    raw,
    number,
    seconds: (names: readonly string[], otherwise: number): number => {
      const name = names.find((one) => raw(one) !== undefined);
      return (name === undefined ? otherwise : number(name, otherwise)) * 1000;
    },
  };
}

function loginMethod(value: unknown): LoginMethod {
  const name = value === undefined || value === '' ? 'PLAIN' : String(value).toUpperCase();
  if (name === 'PLAIN' || name === 'AMQPLAIN' || name === 'EXTERNAL') return name;
  throw new ImproperlyConfigured(
    `expected login_method to be PLAIN, AMQPLAIN or EXTERNAL, got ${JSON.stringify(value)}`,
  );
}

function mapping(name: string, value: unknown): Options | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Options;
  throw new ImproperlyConfigured(`expected ${name} to be a mapping, got ${JSON.stringify(value)}`);
}

function ssl(value: unknown): Options | undefined {
  if (value === undefined || value === false) return undefined;
  return value === true ? {} : mapping('ssl', value);
}

function delayedDelivery(on: unknown, queueType: unknown): DelayedDelivery | undefined {
  const type = queueType ?? 'quorum';
  if (type !== 'quorum' && type !== 'classic') {
    throw new ImproperlyConfigured(
      `expected native_delayed_delivery_queue_type to be quorum or classic, got ${JSON.stringify(type)}`,
    );
  }
  return on === true ? { queueType: type } : undefined;
}

function declareMode(value: unknown): DeclareMode {
  if (value === undefined) return 'create';
  if (value === 'create' || value === 'passive' || value === 'never') return value;
  throw new ImproperlyConfigured(`expected declare to be create, passive or never, got ${JSON.stringify(value)}`);
}
