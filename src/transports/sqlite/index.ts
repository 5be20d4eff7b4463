import { OperationalError } from '../../errors.ts';
import { Database } from '../../sqlite/database.ts';
import { parseSqliteUrl } from '../../sqlite/url.ts';
import type { TransportOptions } from '../drivers.ts';
import type {
  BrokerInfo,
  Channel,
  ConnectOptions,
  Connection,
  DriverContext,
  Transport,
  TransportCapabilities,
} from '../transport.ts';
import { SqliteBroker } from './broker.ts';
import { SqliteChannel } from './channel.ts';
import { SCHEMA } from './schema.ts';

/*
 * The embedded broker: one file, any number of processes on one machine.
 *
 * features   priorities (0 first, as on Redis), delay, fan-out, leases with takeover, delivery count
 * URL        sqlite:///relative.db, sqlite:////absolute.db, sqlite:// for .celeriac/celeriac.db
 * options    synchronous=NORMAL|FULL (query or brokerTransportOptions)
 * limits     a local disk: SQLite's locks and shared memory do not work on network file systems
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

class SqliteConnection implements Connection {
  readonly #broker: SqliteBroker;
  readonly #channels = new Set<SqliteChannel>();

  constructor(broker: SqliteBroker) {
    this.#broker = broker;
  }

  get closed(): Promise<Error | undefined> {
    return this.#broker.closed;
  }

  async channel(): Promise<Channel> {
    if (!this.#broker.isOpen) throw new OperationalError('the connection is closed', { recoverable: true });
    const channel = new SqliteChannel(this.#broker);
    this.#channels.add(channel);
    return channel;
  }

  async close(): Promise<void> {
    for (const channel of this.#channels) await channel.close();
    this.#channels.clear();
    await this.#broker.close();
    await this.#broker.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

class SqliteTransport implements Transport {
  readonly name = 'sqlite';
  readonly displayUrl: string;
  readonly capabilities: TransportCapabilities = CAPABILITIES;
  readonly info: BrokerInfo;
  readonly #file: string;
  readonly #synchronous: string;
  readonly #context: DriverContext;

  constructor(url: string, options: TransportOptions, context: DriverContext) {
    const { file, query } = parseSqliteUrl(url);
    this.#file = file;
    this.#context = context;
    this.#synchronous = query.get('synchronous') ?? String(options['synchronous'] ?? 'NORMAL');
    this.displayUrl = `sqlite:///${file}`;
    this.info = { hostname: 'localhost', port: null, virtualHost: file, userid: null, ssl: false };
  }

  async connect({ sharesLoop = false }: ConnectOptions = {}): Promise<Connection> {
    const db = await Database.open(this.#file, SCHEMA, this.#context.clock, this.#synchronous);
    return new SqliteConnection(new SqliteBroker(db, this.#context, sharesLoop));
  }
}

export function createTransport(url: string, options: TransportOptions, context: DriverContext): Transport {
  return new SqliteTransport(url, options, context);
}
