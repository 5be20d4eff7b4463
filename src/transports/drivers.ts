import { ImproperlyConfigured } from '../errors.ts';
import { maskUrl } from '../runtime/mask-url.ts';
import type { DriverContext, Transport } from './transport.ts';

/** `brokerTransportOptions`: what they mean is the driver's business. */
export type TransportOptions = Readonly<Record<string, unknown>>;
export type CreateTransport = (url: string, options: TransportOptions, context: DriverContext) => Transport;

const redis = async (): Promise<CreateTransport> => (await import('./redis/index.ts')).createTransport;

const amqp = async (): Promise<CreateTransport> => (await import('./amqp/index.ts')).createTransport;

/** URL scheme to driver; imported on first use, so that a producer loads only its own. */
const DRIVERS: Readonly<Record<string, () => Promise<CreateTransport>>> = {
  memory: async () => (await import('./memory.ts')).createTransport,
  sqlite: async () => (await import('./sqlite/index.ts')).createTransport,
  redis,
  rediss: redis,
  'redis+socket': redis,
  valkey: redis,
  valkeys: redis,
  sentinel: redis,
  amqp,
  amqps: amqp,
  pyamqp: amqp,
  librabbitmq: amqp,
};

/** Schemes that `brokerUrl` accepts. */
export const BROKER_SCHEMES: readonly string[] = Object.keys(DRIVERS);

/**
 * Finds the driver of a broker URL. Connects to nothing.
 * @throws {ImproperlyConfigured} when no driver has the scheme, or its client library is not installed
 */
export async function openTransport(
  url: string,
  options: TransportOptions,
  context: DriverContext,
): Promise<Transport> {
  const scheme = /^([a-z][a-z\d+.-]*):/i.exec(url)?.[1]?.toLowerCase() ?? '';
  const load = DRIVERS[scheme];
  if (!load) {
    throw new ImproperlyConfigured(
      `no transport for the broker URL "${maskUrl(url)}": expected one of ${BROKER_SCHEMES.map((name) => `${name}://`).join(', ')}`,
    );
  }
  return (await load())(url, options, context);
}
