import { Empty } from '../errors.ts';
import type { Duration } from '../runtime/duration.ts';
import type { Connection } from './connection.ts';
import type { Consumer } from './consumer.ts';
import { exchange, queue as makeQueue, type Exchange, type Queue } from './entity.ts';
import type { Message } from './message.ts';
import type { MessageProducer, PublishOptions } from './message-producer.ts';

export interface SimpleQueueOptions {
  /** What is read counts as dealt with. @default false, for a buffer true */
  readonly noAck?: boolean | undefined;
  readonly queueOpts?: Partial<Omit<Queue, 'kind' | 'name'>> | undefined;
  readonly exchangeOpts?: Partial<Omit<Exchange, 'kind' | 'name'>> | undefined;
  readonly serializer?: string | undefined;
  readonly compression?: string | undefined;
  readonly accept?: readonly string[] | undefined;
}

interface Kind {
  readonly noAck: boolean;
  readonly queue: Partial<Omit<Queue, 'kind' | 'name'>>;
  readonly exchange: Partial<Omit<Exchange, 'kind' | 'name'>>;
}

const DURABLE: Kind = { noAck: false, queue: {}, exchange: {} };
const EPHEMERAL: Kind = {
  noAck: true,
  queue: { durable: false, autoDelete: true, exclusive: true },
  exchange: { durable: false, autoDelete: true, deliveryMode: 1 },
};

/** Messages read ahead; kombu reads all of them. */
const PREFETCH = 10;

/** A queue used like a list. Source: `kombu.simple.SimpleQueue`. */
export class SimpleQueue<T = unknown> implements AsyncDisposable {
  readonly queue: Queue;
  readonly #connection: Connection;
  readonly #producer: MessageProducer;
  readonly #options: SimpleQueueOptions;
  readonly #noAck: boolean;
  #consumer: Consumer<T> | undefined;
  /** Read and not settled, as far as is known. */
  #held = new Set<Message<T>>();

  constructor(connection: Connection, name: string | Queue, options: SimpleQueueOptions = {}, kind: Kind = DURABLE) {
    this.#connection = connection;
    this.#options = options;
    this.#noAck = options.noAck ?? kind.noAck;
    this.queue =
      typeof name === 'object'
        ? name
        : makeQueue(name, {
            exchange: exchange(name, { ...kind.exchange, ...options.exchangeOpts }),
            ...kind.queue,
            ...options.queueOpts,
          });
    this.#producer = connection.producer({
      exchange: this.queue.exchange,
      routingKey: this.queue.exchange === undefined ? this.queue.name : this.queue.routingKey,
      serializer: options.serializer,
      compression: options.compression,
    });
  }

  /** Resolves when the broker owns the message. */
  async put(message: T, options: PublishOptions = {}): Promise<void> {
    await this.#producer.publish(message, { declare: [this.queue], ...options });
  }

  /**
   * The next message, which the reader acknowledges.
   * @param options.block `false`: one that is ready now. @default true
   * @param options.timeout longest wait; without it as long as it takes
   * @throws {Empty} when none came in time
   */
  async get(
    options: { readonly block?: boolean | undefined; readonly timeout?: Duration | undefined } = {},
  ): Promise<Message<T>> {
    if (options.block === false) return this.getNowait();
    const consumer = (this.#consumer ??= this.#connection.consumer<T>(this.queue, {
      accept: this.#options.accept,
      noAck: this.#noAck,
      prefetchCount: PREFETCH,
    }));
    await this.#makeRoom(consumer);
    const message = await consumer.next(options.timeout);
    if (message === undefined) throw new Empty(this.queue.name);
    return this.#hold(message);
  }

  /** A message that is ready now. @throws {Empty} when there is none */
  async getNowait(): Promise<Message<T>> {
    const message =
      this.#consumer?.takeNow() ??
      (await this.#connection.get<T>(this.queue, { noAck: this.#noAck, accept: this.#options.accept }));
    if (message === undefined) throw new Empty(this.queue.name);
    return message;
  }

  /** Drops what is ready; resolves to how many. */
  async clear(): Promise<number> {
    const buffered: Message<T>[] = [];
    for (let message; (message = this.#consumer?.takeNow()) !== undefined;) buffered.push(message);
    await Promise.all(buffered.map((message) => message.ack()));
    return buffered.length + (await this.#connection.purge(this.queue));
  }

  /** How many wait, those that were read ahead here included. */
  async qsize(): Promise<number> {
    return (this.#consumer?.buffered ?? 0) + (await this.#connection.size(this.queue));
  }

  /** What was read and not acknowledged goes back to the queue. Harmless twice. */
  async close(): Promise<void> {
    await this.#consumer?.cancel();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #hold(message: Message<T>): Message<T> {
    if (!message.acknowledged) this.#held.add(message);
    return message;
  }

  /** Who reads without acknowledging would wait in vain once the window is full. */
  async #makeRoom(consumer: Consumer<T>): Promise<void> {
    for (const message of this.#held) if (message.acknowledged) this.#held.delete(message);
    if (consumer.buffered > 0 || this.#held.size < consumer.prefetchCount) return;
    await consumer.qos({ prefetchCount: consumer.prefetchCount * 2 });
  }
}

/** Source: `kombu.simple.SimpleBuffer`. */
export class SimpleBuffer<T = unknown> extends SimpleQueue<T> {
  constructor(connection: Connection, name: string | Queue, options: SimpleQueueOptions = {}) {
    super(connection, name, options, EPHEMERAL);
  }
}
