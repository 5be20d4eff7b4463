import { OperationalError } from '../../errors.ts';
import type { Binding, Entity, Queue } from '../../messaging/entity.ts';
import type { Message } from '../../protocol/message.ts';
import { deferred } from '../../runtime/deferred.ts';
import type { Channel, Consumer, ConsumeOptions, Delivery, Destination, PublishOptions } from '../transport.ts';
import { Claimer, type Reader } from './claimer.ts';
import type { RedisConnection } from './connection.ts';
import type { Ledger } from './ledger.ts';
import type { Command } from './socket.ts';

/** Declares, publishes and consumes. Commands travel over the connection's socket; waiting has sockets of its own. */
export class RedisChannel implements Channel {
  readonly #connection: RedisConnection;
  readonly #onClose: () => void;
  readonly #consumers = new Set<Consumer>();
  /** Both exist once something is read. */
  #ledger: Ledger | undefined;
  #claimer: Claimer | undefined;
  #closing: Promise<void> | undefined;
  #lost = false;
  /** Of all its consumers: they share one window. */
  #unsettled = 0;

  constructor(connection: RedisConnection, onClose: () => void) {
    this.#connection = connection;
    this.#onClose = onClose;
  }

  #open(): RedisConnection {
    if (this.#closing || this.#lost)
      throw new OperationalError('the Redis channel is closed; open another one', { recoverable: true });
    return this.#connection;
  }

  async declare(entity: Entity): Promise<void> {
    const { bindings, socket } = this.#open();
    const members = bindings.declare(entity);
    if (members.length === 0) return;
    throwFirst(await socket.batch(members.map(({ key, member }): Command => ['SADD', key, member])));
  }

  publish(message: Message, to: Destination, options: PublishOptions = {}): Promise<void> {
    try {
      const { signal } = options;
      signal?.throwIfAborted();
      const published = this.#open().publisher.publish(message, to, options) as Promise<void>;
      return signal ? abortable(published, signal) : published;
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  async consume(queue: Queue, deliver: (delivery: Delivery) => void, options: ConsumeOptions): Promise<Consumer> {
    const connection = this.#open();
    if (isFanout(queue) && !connection.bindings.fanout(queue.name)) await this.declare(queue);
    const source = connection.bindings.fanout(queue.name);
    const consumer = source ? await this.#subscribe(queue, source, deliver) : await this.#read(queue, deliver, options);
    this.#consumers.add(consumer);
    return consumer;
  }

  /** A queue of a fan-out exchange has no list: what is published reaches it at once or never. */
  async #subscribe(
    queue: Queue,
    source: { readonly exchange: string; readonly routingKey: string },
    deliver: (delivery: Delivery) => void,
  ): Promise<Consumer> {
    const { fanout } = this.#connection;
    const pattern = fanout.pattern(source);
    const listener = { queue: queue.name, deliver };
    await fanout.subscribe(pattern, listener);
    let cancelled: Promise<void> | undefined;
    const cancel = async (): Promise<void> => {
      await fanout.unsubscribe(pattern, listener);
      await this.#retire(queue, consumer);
    };
    const consumer: Consumer = {
      setPrefetch: async () => {},
      cancel: () => (cancelled ??= cancel()),
      get lastProofMs() {
        return fanout.proofMs;
      },
      [Symbol.asyncDispose]: () => consumer.cancel(),
    };
    return consumer;
  }

  async #read(queue: Queue, deliver: (delivery: Delivery) => void, options: ConsumeOptions): Promise<Consumer> {
    const claimer = await this.#reading();
    const noAck = options.noAck ?? queue.noAck ?? false;
    let prefetch = options.prefetch;
    const reader: Reader = {
      queue: queue.name,
      noAck,
      room: () => {
        if (prefetch < 0) return 0;
        return noAck || prefetch === 0 ? Number.MAX_SAFE_INTEGER : prefetch - this.#unsettled;
      },
      taken: () => this.#unsettled++,
      release: () => {
        this.#unsettled--;
        claimer.released();
      },
      deliver,
      fault: (error) => {
        this.#consumers.delete(consumer);
        options.onCancel?.(error);
      },
    };
    let cancelled: Promise<void> | undefined;
    const cancel = async (): Promise<void> => {
      await claimer.remove(reader);
      await this.#retire(queue, consumer);
    };
    const consumer: Consumer = {
      setPrefetch: async (count) => {
        prefetch = count;
        claimer.wake();
      },
      cancel: () => (cancelled ??= cancel()),
      get lastProofMs() {
        return claimer.proofMs;
      },
      [Symbol.asyncDispose]: () => consumer.cancel(),
    };
    claimer.add(reader);
    return consumer;
  }

  /** A transient queue (pidbox, events) goes with its consumer, as on a broker that honours `auto-delete`. */
  async #retire(queue: Queue, consumer: Consumer): Promise<void> {
    this.#consumers.delete(consumer);
    const fanout = this.#connection.bindings.fanout(queue.name) !== undefined;
    if (queue.autoDelete && (fanout || queue.expiresMs !== undefined) && !this.#lost) await this.#delete(queue.name);
  }

  async get(queue: string): Promise<Delivery | undefined> {
    this.#open();
    return (await this.#reading()).once(queue);
  }

  async #reading(): Promise<Claimer> {
    const connection = this.#connection;
    const { socket, keys, settings, context } = connection;
    const ledger = (this.#ledger ??= connection.ledger());
    await connection.living();
    return (this.#claimer ??= new Claimer(socket, () => connection.openSocket(), keys, settings, ledger, context));
  }

  async size(queue: string): Promise<number> {
    const { socket, keys } = this.#open();
    const lengths = await socket.batch(keys.ready(queue).map((key): Command => ['LLEN', key]));
    throwFirst(lengths);
    return sum(lengths);
  }

  async purge(queue: string): Promise<number> {
    const { socket, keys } = this.#open();
    const ready = keys.ready(queue);
    const replies = await socket.batch([
      ['MULTI'],
      ...ready.map((key): Command => ['LLEN', key]),
      ['DEL', ...ready],
      ['EXEC'],
    ]);
    throwFirst(replies);
    return sum((replies.at(-1) as unknown[]).slice(0, ready.length));
  }

  async deleteQueue(queue: string): Promise<void> {
    this.#open();
    await this.#delete(queue);
  }

  async deleteExchange(exchange: string): Promise<void> {
    const { bindings, socket, keys } = this.#open();
    bindings.forgetExchange(exchange);
    throwFirst(await socket.batch([['DEL', keys.binding(exchange)]]));
  }

  async bindings(exchange?: string): Promise<readonly Binding[]> {
    const { bindings, socket, keys } = this.#open();
    if (exchange !== undefined) {
      const members = (await socket.call('SMEMBERS', keys.binding(exchange))) as unknown[];
      return members.map((member) => bindings.read(exchange, String(member)));
    }
    const prefix = keys.binding('');
    const found: Binding[] = [];
    let cursor = '0';
    do {
      // Names may hold what is a pattern to Redis; what matches too much is left out below.
      const pattern = `${prefix.replace(/[[\]*?\\^-]/g, '?')}*`;
      const [page] = await socket.batch([['SCAN', cursor, 'MATCH', pattern, 'COUNT', '1000']]);
      throwFirst([page]);
      const [next, names] = page as [unknown, unknown[]];
      cursor = String(next);
      const exchanges = names.map(String).filter((name) => name.startsWith(prefix));
      const sets = await socket.batch(exchanges.map((name): Command => ['SMEMBERS', name]));
      throwFirst(sets);
      sets.forEach((members, index) => {
        const exchange = (exchanges[index] as string).slice(prefix.length);
        for (const member of members as unknown[]) found.push(bindings.read(exchange, String(member)));
      });
    } while (cursor !== '0');
    return found;
  }

  async #delete(queue: string): Promise<void> {
    const { bindings, socket, keys } = this.#connection;
    const unbind = bindings.forget(queue).map(({ key, member }): Command => ['SREM', key, member]);
    throwFirst(await socket.batch([...unbind, ['DEL', ...keys.ready(queue)]]));
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#onClose();
    if (this.#lost) return;
    try {
      await Promise.all([...this.#consumers].map((consumer) => consumer.cancel()));
      await this.#claimer?.stop();
      await this.#ledger?.restoreAll();
      if (this.#ledger) await this.#connection.dismiss(this.#ledger);
    } catch (error) {
      if (!this.#lost) throw error;
    }
  }

  /** The connection is gone. What is unsettled keeps its lease and is settled through the next connection. */
  lost(): void {
    this.#lost = true;
    void this.#claimer?.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function isFanout({ exchange }: Queue): boolean {
  return exchange?.type === 'fanout';
}

function throwFirst(replies: readonly unknown[]): void {
  for (const reply of replies) if (reply instanceof Error) throw reply;
}

function sum(numbers: readonly unknown[]): number {
  return numbers.reduce<number>((total, one) => total + Number(one), 0);
}

function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = deferred<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  return Promise.race([work, aborted.promise]).finally(() => signal.removeEventListener('abort', onAbort));
}
