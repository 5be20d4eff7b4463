import { maskUrl } from '../../runtime/mask-url.ts';
import type { CreateTransport, TransportOptions } from '../drivers.ts';
import type {
  BrokerInfo,
  ConnectOptions,
  Connection,
  DriverContext,
  Transport,
  TransportCapabilities,
} from '../transport.ts';
import { RedisConnection, type TransportState } from './connection.ts';
import { KeySpace } from './keys.ts';
import { redisSettings } from './options.ts';
import { RedisSocket } from './socket.ts';
import { parseRedisUrl, unverified } from './url.ts';

/*
 * Redis and Valkey, alone or behind Sentinel, in kombu's layout: Python workers share the queues.
 *
 * Features   direct, topic and fanout exchanges; four priority steps, 0 served first; delayed messages in the broker;
 *            delivery counts; a dead worker's messages are taken over after seconds
 * Package    ioredis 5 or 6
 * Servers    Redis 7.0 tested; needs 5.0, and 6.2 to wait without polling
 * URL        redis://[user:password@]host[:6379][/0]   rediss:// (verified)   redis+socket:///path[?virtual_host=0]
 *            sentinel://host:26379/0;sentinel://host2:26379 with the option master_name
 * Options    `options.ts`; names as in Celery's broker_transport_options, or in camelCase; durations in seconds
 *
 * Keys besides kombu's: celeriac:workers, celeriac:owned:<holder>, celeriac:delayed, celeriac:delayed:messages,
 * celeriac:restores:<tag>, celeriac:quarantine:<queue>, celeriac:once:<queue>:<key>,
 * celeriac:run:<tag>.
 */

const CAPABILITIES: TransportCapabilities = {
  exchanges: 'emulated',
  priority: 'lowest-first',
  fanout: true,
  delay: 'native',
  persistent: true,
  shared: true,
  deliveryCount: true,
  once: true,
};

class RedisTransport implements Transport {
  readonly name = 'redis';
  readonly displayUrl: string;
  readonly capabilities: TransportCapabilities = CAPABILITIES;
  readonly info: BrokerInfo;
  readonly #state: TransportState;

  constructor(url: string, options: TransportOptions, context: DriverContext) {
    const settings = redisSettings(options);
    const address = parseRedisUrl(url, settings);
    this.displayUrl = maskUrl(url);
    this.info = {
      hostname: address.kind === 'unix' ? (address.path ?? '') : address.host,
      port: address.kind === 'unix' ? null : address.port,
      virtualHost: String(address.db),
      userid: address.username ?? null,
      ssl: address.tls !== undefined,
    };
    this.#state = {
      address,
      settings,
      keys: new KeySpace(settings, address.db),
      context,
      connections: new Set(),
      orphans: new Set(),
    };
    if (unverified(address)) {
      context.log.warn(
        { broker: this.displayUrl },
        'TLS without checking the certificate: anyone in between can read along',
      );
    }
  }

  /** @throws {CeleryError} an `OperationalError` with what stood in the way */
  async connect({ signal, sharesLoop = false }: ConnectOptions = {}): Promise<Connection> {
    const { address, settings, context } = this.#state;
    return new RedisConnection(await RedisSocket.open(address, settings, context, signal), this.#state, sharesLoop);
  }
}

/** A transport over Redis. Connects to nothing. */
export const createTransport: CreateTransport = (url, options, context) => new RedisTransport(url, options, context);
