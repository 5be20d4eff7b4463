import { ImproperlyConfigured } from '../errors.ts';
import { maskUrl } from '../runtime/mask-url.ts';
import type { ResultCodec } from '../protocol/result.ts';
import type { Message } from '../protocol/message.ts';
import type { EncodedBody } from '../serializers/registry.ts';
import type { Destination, DriverContext, Transport } from '../transports/transport.ts';
import type { ResultBackend } from './backend.ts';

/** The app's way to its broker, for results that travel as messages. */
export interface ResultBroker {
  /** Where results for this app go: `reply_to` of its messages. */
  readonly oid: string;
  /** Setting `resultPersistent`. */
  readonly persistent: boolean;
  /** For reading. Connects to nothing. */
  readonly transport: () => Promise<Transport>;
  /** Resolves when the broker owns the message. */
  publish(message: Message, to: Destination): Promise<void>;
  /** With the setting `resultSerializer`. @throws {EncodeError} */
  encode(value: unknown): EncodedBody;
  /** @throws {DecodeError} {ContentDisallowed} */
  decode(message: Message): unknown;
}

export interface BackendOptions {
  /** `resultExpires` in milliseconds; null keeps results for ever. */
  readonly expiresMs: number | null;
  /** `resultBackendTransportOptions`, and what the driver's own settings say. */
  readonly transportOptions: Readonly<Record<string, unknown>>;
  /** How records are written and read. @default Python's JSON */
  readonly codec?: ResultCodec;
  /** Left out where there is no app. */
  readonly broker?: ResultBroker;
}

export type CreateBackend = (url: string, options: BackendOptions, context: DriverContext) => ResultBackend;

const redis = async (): Promise<CreateBackend> => (await import('./redis.ts')).createBackend;
const disabled = async (): Promise<CreateBackend> => (await import('./disabled.ts')).createBackend;

const DRIVERS: Readonly<Record<string, () => Promise<CreateBackend>>> = {
  memory: async () => (await import('./memory.ts')).createBackend,
  'cache+memory': async () => (await import('./memory.ts')).createBackend,
  sqlite: async () => (await import('./sqlite.ts')).createBackend,
  redis,
  rediss: redis,
  'redis+socket': redis,
  valkey: redis,
  valkeys: redis,
  sentinel: redis,
  rpc: async () => (await import('./rpc.ts')).createBackend,
  disabled,
};

/** Schemes that `resultBackend` accepts. */
export const BACKEND_SCHEMES: readonly string[] = Object.keys(DRIVERS);

/**
 * Finds the driver of a result backend URL. Connects to nothing.
 * @throws {ImproperlyConfigured} when no driver has the scheme, or its client library is not installed
 */
export async function openBackend(
  url: string,
  options: BackendOptions,
  context: DriverContext,
): Promise<ResultBackend> {
  const scheme = /^([a-z][a-z\d+.-]*):/i.exec(url)?.[1]?.toLowerCase() ?? url.toLowerCase();
  const load = DRIVERS[scheme];
  if (!load) {
    throw new ImproperlyConfigured(
      `no result backend for "${maskUrl(url)}": expected one of ${BACKEND_SCHEMES.map((name) => `${name}://`).join(', ')}`,
    );
  }
  return (await load())(url, options, context);
}
