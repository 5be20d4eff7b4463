import { OperationalError, UsageError, type CeleryError } from '../../errors.ts';
import { deferred } from '../../runtime/deferred.ts';
import type { Channel, Connection, DriverContext } from '../transport.ts';
import { BindingTable } from './bindings.ts';
import { RedisChannel } from './channel.ts';
import { FanoutReceiver } from './fanout.ts';
import { holderId } from './holder.ts';
import { Keeper } from './keeper.ts';
import type { KeySpace } from './keys.ts';
import { Ledger } from './ledger.ts';
import type { RedisSettings } from './options.ts';
import { Publisher } from './publisher.ts';
import { redisPulse } from './pulse.ts';
import { loginOf, RedisSocket } from './socket.ts';
import { Sweeper } from './sweeper.ts';
import type { RedisAddress } from './url.ts';

/** What the connections of one transport share. */
export interface TransportState {
  readonly address: RedisAddress;
  readonly settings: RedisSettings;
  readonly keys: KeySpace;
  readonly context: DriverContext;
  readonly connections: Set<RedisConnection>;
  /** Ledgers of lost connections that no living connection looks after yet. */
  readonly orphans: Set<Ledger>;
}

/**
 * One link to the server: a socket for commands, one for subscriptions, and one per watched list of each consuming
 * channel. Any of them failing ends the connection whole.
 */
export class RedisConnection implements Connection {
  readonly closed: Promise<CeleryError | undefined>;
  readonly socket: RedisSocket;
  readonly keys: KeySpace;
  readonly settings: RedisSettings;
  readonly context: DriverContext;
  readonly bindings: BindingTable;
  readonly publisher: Publisher;
  readonly fanout: FanoutReceiver;
  readonly #state: TransportState;
  readonly #closed = deferred<CeleryError | undefined>();
  readonly #sockets = new Set<RedisSocket>();
  readonly #channels = new Set<RedisChannel>();
  /** Those of its own channels, and those of lost connections that it has adopted. */
  readonly #ledgers = new Set<Ledger>();
  readonly #keeper: Keeper;
  readonly #sharesLoop: boolean;
  #ended = false;
  #checked = false;
  #closing: Promise<void> | undefined;

  constructor(socket: RedisSocket, state: TransportState, sharesLoop: boolean) {
    const { keys, settings, context } = state;
    this.#state = state;
    this.#sharesLoop = sharesLoop;
    this.socket = socket;
    this.keys = keys;
    this.settings = settings;
    this.context = context;
    this.closed = this.#closed.promise;
    this.bindings = new BindingTable(keys, settings.sep);
    this.publisher = new Publisher(socket, keys, this.bindings, context.random, settings.deadletterQueue);
    this.fanout = new FanoutReceiver(() => this.openSocket(), keys, context);
    const sweeper = new Sweeper(socket, keys, settings, this.bindings, context);
    this.#keeper = new Keeper(socket, keys, settings, this.#ledgers, sweeper, context);
    this.#watch(socket);
    state.connections.add(this);
    for (const orphan of state.orphans) this.adopt(orphan);
  }

  async channel(): Promise<Channel> {
    if (this.#ended || this.#closing) throw new UsageError('the Redis connection is closed; connect again');
    const channel = new RedisChannel(this, () => this.#channels.delete(channel));
    this.#channels.add(channel);
    return channel;
  }

  /** A further socket that lives and dies with this connection. */
  async openSocket(): Promise<RedisSocket> {
    const socket = await RedisSocket.open(this.#state.address, this.settings, this.context);
    if (this.#ended) {
      socket.close();
      throw new OperationalError('the Redis connection was closed', { recoverable: true });
    }
    this.#watch(socket);
    return socket;
  }

  #watch(socket: RedisSocket): void {
    this.#sockets.add(socket);
    void socket.closed.then((error) => {
      this.#sockets.delete(socket);
      if (error) this.#fail(error);
    });
  }

  /** A ledger for a channel that begins to read. */
  ledger(): Ledger {
    const ledger = new Ledger(holderId(this.context.random.uuid()), this.keys, this.settings, this.context);
    ledger.attach(this.socket);
    this.#ledgers.add(ledger);
    return ledger;
  }

  /** Before the first claim: from now on the connection says that it lives and renews its leases. */
  async living(): Promise<void> {
    if (!this.#checked) {
      this.#checked = true;
      await this.#checkMemoryPolicy();
      if (this.#sharesLoop) await this.#startPulse();
    }
    await this.#keeper.start();
  }

  async #startPulse(): Promise<void> {
    const { address, settings } = this.#state;
    const place = { address, remote: this.socket.remote };
    const pulse = redisPulse(place, await loginOf(address, settings), this.keys, settings);
    if (this.#ended) pulse?.stop();
    else this.#keeper.pulse = pulse;
    if (pulse === undefined) this.context.log.debug({}, 'a task that blocks the event loop may lose its lease');
  }

  /** A server that evicts keys drops whole queues. */
  async #checkMemoryPolicy(): Promise<void> {
    const info = await this.socket.call('INFO', 'memory').catch(() => '');
    const policy = /^maxmemory_policy:(\S+)/m.exec(String(info))?.[1];
    if (policy === undefined || policy === 'noeviction' || /^maxmemory:0\s/m.test(String(info))) return;
    this.context.log.warn(
      { policy },
      'the Redis server may evict queues when its memory is full: set maxmemory-policy to noeviction',
    );
  }

  /** The ledger of a channel that has closed. */
  async dismiss(ledger: Ledger): Promise<void> {
    this.#ledgers.delete(ledger);
    await ledger.leave();
  }

  /** Looks after what a lost connection of this transport still holds. */
  adopt(ledger: Ledger): void {
    this.#state.orphans.delete(ledger);
    this.#ledgers.add(ledger);
    ledger.attach(this.socket);
    ledger
      .reconcile()
      .then(() => this.#keeper.start())
      .catch((error: unknown) => {
        // Where this connection has ended too, the next one does it.
        if (!this.#ended) this.context.log.error({ error }, 'looking after an earlier connection failed');
      });
  }

  #fail(error: CeleryError): void {
    if (this.#ended) return;
    this.#end(error);
    for (const ledger of this.#ledgers) ledger.orphan();
    this.#bequeath();
  }

  /** Another living connection looks after the ledgers, or the next one that is made. */
  #bequeath(): void {
    const ledgers = [...this.#ledgers];
    this.#ledgers.clear();
    const [heir] = this.#state.connections;
    for (const ledger of ledgers) {
      ledger.detach();
      if (heir) heir.adopt(ledger);
      else this.#state.orphans.add(ledger);
    }
  }

  #end(error: CeleryError | undefined): void {
    this.#ended = true;
    this.#state.connections.delete(this);
    void this.#keeper.stop();
    for (const channel of this.#channels) channel.lost();
    for (const socket of this.#sockets) socket.close();
    this.#closed.resolve(error);
  }

  /** Harmless twice, and after a failure. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    if (this.#ended) return;
    try {
      await Promise.all([...this.#channels].map((channel) => channel.close()));
      await this.#keeper.stop();
    } catch (error) {
      this.context.log.warn({ error }, 'closing the Redis connection in peace failed');
    }
    if (this.#ended) return;
    this.#end(undefined);
    this.#bequeath();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
