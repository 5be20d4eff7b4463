import { ImproperlyConfigured, OperationalError, UsageError } from '../errors.ts';
import { sleep, systemClock, withDeadline, type Clock } from '../runtime/clock.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { silentLogger, type Logger } from '../runtime/logger.ts';
import { systemRandom, type Random } from '../runtime/random.ts';
import { createSerializers, type SerializerRegistry } from '../serializers/registry.ts';
import { openTransport, type TransportOptions } from '../transports/drivers.ts';
import { failover } from '../transports/failover.ts';
import type { BrokerInfo, Channel, Transport } from '../transports/transport.ts';
import { Consumer, type ConsumerOptions } from './consumer.ts';
import type { Entity, Queue } from './entity.ts';
import { Links, type Link } from './link.ts';
import { Message } from './message.ts';
import { acceptedTypes, decodePayload } from './payload.ts';
import { MessageProducer, type MessageProducerOptions } from './message-producer.ts';
import { retryPlan, type RetryPolicy } from './retry-policy.ts';
import { SimpleBuffer, SimpleQueue, type SimpleQueueOptions } from './simple-queue.ts';

export interface ConnectionOptions {
  /** What the driver takes, under kombu's names. */
  readonly transportOptions?: TransportOptions | undefined;
  /** Longest wait for one connection. @default '4s' */
  readonly connectTimeout?: Duration | undefined;
  /** Formats of bodies. @default JSON, and YAML and MessagePack where their packages are installed */
  readonly serializers?: SerializerRegistry | undefined;
  readonly log?: Logger | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

const CONNECT_TIMEOUT_MS = 4_000;

/**
 * One connection to a broker, for messages without tasks. It is made on first use and again when it was lost;
 * producers, consumers and simple queues share it. Source: `kombu.Connection`.
 *
 * @example
 * await using connection = new Connection('redis://localhost');
 * await connection.producer().publish({ hello: 'world' }, { routingKey: 'greetings', declare: [queue('greetings')] });
 */
export class Connection implements AsyncDisposable {
  readonly clock: Clock;
  readonly log: Logger;
  readonly serializers: SerializerRegistry;
  readonly #brokers: string | readonly string[] | Transport;
  readonly #options: ConnectionOptions;
  readonly #random: Random;
  readonly #links: Links;
  readonly #consumers = new Set<Consumer<unknown>>();
  readonly #closing = new AbortController();
  #transport: Promise<Transport> | undefined;
  #closed: Promise<void> | undefined;

  /** @param broker URL, several to fail over between (a list, or separated by `;`), or a transport to share */
  constructor(broker: string | readonly string[] | Transport, options: ConnectionOptions = {}) {
    this.#brokers = broker;
    this.#options = options;
    this.clock = options.clock ?? systemClock;
    this.log = options.log ?? silentLogger;
    this.#random = options.random ?? systemRandom();
    this.serializers = options.serializers ?? createSerializers();
    this.#links = new Links({
      clock: this.clock,
      transport: () => this.transport(),
      connectTimeoutMs: durationMs(options.connectTimeout ?? CONNECT_TIMEOUT_MS),
    });
  }

  /** The driver; connects to nothing. @throws {ImproperlyConfigured} for a URL that no driver has */
  transport(): Promise<Transport> {
    this.#transport ??= this.#openTransport().catch((error: unknown) => {
      this.#transport = undefined;
      throw error;
    });
    return this.#transport;
  }

  async #openTransport(): Promise<Transport> {
    const brokers = this.#brokers;
    if (typeof brokers === 'object' && 'connect' in brokers) return brokers;
    const urls = (typeof brokers === 'string' ? brokers.split(';') : brokers).map((url) => url.trim()).filter(Boolean);
    if (urls.length === 0) throw new ImproperlyConfigured('expected the URL of a broker, got an empty text');
    const context = { clock: this.clock, random: this.#random, log: this.log };
    const open = (url: string): Promise<Transport> => openTransport(url, this.#options.transportOptions ?? {}, context);
    const transports = await Promise.all(urls.map(open));
    return transports.length === 1 ? (transports[0] as Transport) : failover(transports);
  }

  /** Whether there is a connection right now. */
  get connected(): boolean {
    return this.#links.current !== undefined;
  }

  /** The address without its password. */
  async asUri(): Promise<string> {
    return (await this.transport()).displayUrl;
  }

  async info(): Promise<BrokerInfo & { readonly transport: string }> {
    const transport = await this.transport();
    return { ...transport.info, transport: transport.name };
  }

  /** Connects now. @throws {OperationalError} when the policy allows no more tries */
  async ensureConnection(policy: RetryPolicy = {}): Promise<this> {
    await this.#ensure(() => Promise.resolve(), policy);
    return this;
  }

  /**
   * Runs `work` with a channel, and again with a new connection while the broker is out of reach. Whatever it does may
   * then be done twice. Source: `Connection.ensure` and `autoretry` of kombu.
   * @throws {OperationalError} code `ERR_BROKER_TIMEOUT` after `policy.timeout`, else the last failure
   */
  ensure<T>(work: (channel: Channel) => Promise<T>, policy: RetryPolicy = {}): Promise<T> {
    return this.#ensure(({ channel }) => work(channel), policy);
  }

  /** The same for what declares first. */
  ensureDeclared<T>(
    entities: readonly Entity[],
    work: (channel: Channel) => Promise<T>,
    policy: RetryPolicy = {},
  ): Promise<T> {
    return this.#ensure(async (link) => {
      for (const entity of entities) {
        const pending = this.#links.declare(link, entity);
        if (pending !== true) await pending;
      }
      return await work(link.channel);
    }, policy);
  }

  async #ensure<T>(work: (link: Link) => Promise<T>, policy: RetryPolicy): Promise<T> {
    const { clock } = this;
    const { maxRetries, timeoutMs, waitMs } = retryPlan(policy);
    const dueMs = clock.monotonic() + timeoutMs;
    for (let failures = 0; ; failures++) {
      if (this.#closing.signal.aborted) throw this.#closing.signal.reason as Error;
      policy.signal?.throwIfAborted();
      let link: Link | undefined;
      const attempt = async (): Promise<T> => work((link = this.#links.current ?? (await this.#links.open())));
      try {
        return await withDeadline(clock, dueMs - clock.monotonic(), attempt(), () => tooLate(timeoutMs));
      } catch (error) {
        if (!(error instanceof OperationalError) || !error.recoverable) throw error;
        if (link !== undefined) this.#links.drop(link);
        const wait = waitMs(failures + 1);
        if (failures >= maxRetries || clock.monotonic() + wait >= dueMs) throw error;
        policy.errback?.(error, wait);
        this.log.debug({ error, waitMs: wait, failures: failures + 1 }, 'the broker did not answer, trying again');
        await sleep(clock, wait, policy.signal ?? this.#closing.signal);
      }
    }
  }

  /** The link for consumers, which look after it themselves. */
  open(): Promise<Link> {
    return this.#links.open();
  }

  drop(link: Link): void {
    this.#links.drop(link);
  }

  /** Creates queues, exchanges and bindings that do not exist yet. */
  async declare(...entities: readonly Entity[]): Promise<void> {
    await this.ensureDeclared(entities, () => Promise.resolve());
  }

  producer(options: MessageProducerOptions = {}): MessageProducer {
    return new MessageProducer(this, options);
  }

  /** @typeParam T what the caller knows about the bodies */
  consumer<T = unknown>(queues: Queue | readonly Queue[], options: ConsumerOptions<T> = {}): Consumer<T> {
    const consumer = new Consumer<T>(this, 'kind' in queues ? [queues] : queues, options, () =>
      this.#consumers.delete(consumer as Consumer<unknown>),
    );
    this.#consumers.add(consumer as Consumer<unknown>);
    return consumer;
  }

  /** A durable queue used like a list: `put`, `get`, `clear`. */
  simpleQueue<T = unknown>(name: string | Queue, options: SimpleQueueOptions = {}): SimpleQueue<T> {
    return new SimpleQueue<T>(this, name, options);
  }

  /** The same, gone with its last reader; what is read counts as dealt with. */
  simpleBuffer<T = unknown>(name: string | Queue, options: SimpleQueueOptions = {}): SimpleBuffer<T> {
    return new SimpleBuffer<T>(this, name, options);
  }

  /** Takes one message without a consumer; undefined when none is ready. Source: `Queue.get` of kombu. */
  async get<T = unknown>(
    queue: Queue,
    options: { readonly noAck?: boolean | undefined; readonly accept?: readonly string[] | undefined } = {},
  ): Promise<Message<T> | undefined> {
    const accept = acceptedTypes(options.accept, this.serializers);
    const delivery = await this.ensureDeclared([queue], (channel) => channel.get(queue.name));
    if (delivery === undefined) return undefined;
    const noAck = options.noAck ?? false;
    try {
      const payload = (await decodePayload(delivery.message, accept, this.serializers)) as T;
      if (noAck) await delivery.ack();
      return new Message(delivery, payload, noAck);
    } catch (error) {
      await delivery.reject({ requeue: false });
      throw error;
    }
  }

  /** Messages ready in the queue. */
  size(queue: Queue): Promise<number> {
    return this.ensureDeclared([queue], (channel) => channel.size(queue.name));
  }

  /** Drops what is ready; resolves to how many. */
  purge(queue: string | Queue): Promise<number> {
    return this.ensure((channel) => channel.purge(nameOf(queue)));
  }

  async deleteQueue(queue: string | Queue): Promise<void> {
    await this.#ensure((link) => {
      link.declared.clear();
      return link.channel.deleteQueue(nameOf(queue));
    }, {});
  }

  async deleteExchange(name: string): Promise<void> {
    await this.#ensure(async (link) => {
      link.declared.clear();
      await link.channel.deleteExchange?.(name);
    }, {});
  }

  /** Ends its consumers, returns what they hold to the queues, and disconnects. Harmless twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** kombu's name of `close`. */
  release(): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const reason = new UsageError('the connection was closed');
    await Promise.all([...this.#consumers].map((consumer) => consumer.cancel()));
    this.#closing.abort(reason);
    await this.#links.close(reason);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function nameOf(queue: string | Queue): string {
  return typeof queue === 'string' ? queue : queue.name;
}

function tooLate(timeoutMs: number): OperationalError {
  return new OperationalError(`the broker did not answer within ${timeoutMs} ms`, {
    recoverable: true,
    code: 'ERR_BROKER_TIMEOUT',
  });
}
