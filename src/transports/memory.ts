import { ChannelError, OperationalError } from '../errors.ts';
import type { Binding, Entity, Queue } from '../messaging/entity.ts';
import type { Message } from '../protocol/message.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { deferred } from '../runtime/deferred.ts';
import type { TransportOptions } from './drivers.ts';
import type {
  BrokerInfo,
  Channel,
  Connection,
  ConsumeOptions,
  Consumer,
  Delivery,
  Destination,
  DriverContext,
  PublishOptions,
  Transport,
  TransportCapabilities,
} from './transport.ts';
import { BindingTable } from './virtual/bindings.ts';
import { Ready, type Waiting } from './virtual/ready.ts';

/*
 * In-process broker, and the reference for the transport contract.
 *
 * features   everything a virtual transport can do; nothing survives the process
 * URL        memory://
 * options    none
 *
 * State lives in the transport object: producer and worker of one app share it, two apps do not.
 */

interface MemoryQueue {
  readonly name: string;
  readonly autoDelete: boolean;
  readonly ttlMs: number | undefined;
  readonly ready: Ready<Stored>;
  readonly consumers: MemoryConsumer[];
}

interface Stored extends Waiting {
  readonly message: Message;
  readonly to: Destination;
  readonly tag: string;
  readonly expiresAtMs: number | undefined;
  /** Was handed over before. */
  redelivered: boolean;
}

const SETTLED: Promise<void> = Promise.resolve();

/** The broker's state, and the one place where messages move. */
class MemoryBroker {
  readonly clock: Clock;
  readonly bindings: BindingTable = new BindingTable();
  readonly #queues = new Map<string, MemoryQueue>();
  readonly #timers = new Set<Timer>();
  readonly #uuid: () => string;

  constructor(context: DriverContext) {
    this.clock = context.clock;
    this.#uuid = () => context.random.uuid();
  }

  declare(entity: Entity): void {
    this.bindings.declare(entity);
    if (entity.kind === 'queue') this.queue(entity.name, entity);
  }

  queue(name: string, declared?: Queue): MemoryQueue {
    let queue = this.#queues.get(name);
    if (!queue) {
      queue = {
        name,
        autoDelete: declared?.autoDelete ?? false,
        ttlMs: declared?.messageTtlMs,
        ready: new Ready(),
        consumers: [],
      };
      this.#queues.set(name, queue);
    }
    return queue;
  }

  find(name: string): MemoryQueue | undefined {
    return this.#queues.get(name);
  }

  publish(message: Message, to: Destination, options: PublishOptions): void {
    const names = this.bindings.route(to.exchange, to.routingKey, message.headers);
    if (names.length === 0 && options.mandatory) {
      throw new ChannelError(`no queue is bound to exchange "${to.exchange}" for routing key "${to.routingKey}"`);
    }
    if (options.delayMs !== undefined && options.delayMs > 0) {
      const timer = this.clock.setTimer(
        options.delayMs,
        () => {
          this.#timers.delete(timer);
          this.#store(names, message, to);
        },
        { keepAlive: false },
      );
      this.#timers.add(timer);
      return;
    }
    this.#store(names, message, to);
  }

  #store(names: readonly string[], message: Message, to: Destination): void {
    for (const name of names) {
      const queue = this.queue(name);
      const ttl = lifetimeMs(message, queue.ttlMs);
      queue.ready.push({
        message,
        to,
        tag: this.#uuid(),
        priority: message.properties.priority ?? 0,
        expiresAtMs: ttl === undefined ? undefined : this.clock.now() + ttl,
        redelivered: false,
      });
      this.dispatch(queue);
    }
  }

  /** The next message that has not expired. */
  take(queue: MemoryQueue): Stored | undefined {
    for (;;) {
      const stored = queue.ready.shift();
      if (stored?.expiresAtMs === undefined || stored.expiresAtMs > this.clock.now()) return stored;
    }
  }

  /** Hands messages to consumers in turn while any has room. */
  dispatch(queue: MemoryQueue): void {
    while (queue.ready.size > 0) {
      const at = queue.consumers.findIndex((consumer) => consumer.free);
      if (at < 0) return;
      const stored = this.take(queue);
      if (!stored) return;
      const [consumer] = queue.consumers.splice(at, 1) as [MemoryConsumer];
      queue.consumers.push(consumer);
      consumer.accept(stored);
    }
  }

  putBack(queue: MemoryQueue, stored: Stored, end: 'front' | 'back'): void {
    if (end === 'front') queue.ready.unshift(stored);
    else queue.ready.push(stored);
    this.dispatch(queue);
  }

  deleteQueue(name: string): void {
    const queue = this.#queues.get(name);
    this.#queues.delete(name);
    this.bindings.removeQueue(name);
    for (const consumer of [...(queue?.consumers ?? [])]) consumer.cancelledByBroker();
  }
}

function lifetimeMs(message: Message, queueTtlMs: number | undefined): number | undefined {
  const own = message.properties.expiration === undefined ? undefined : Number(message.properties.expiration);
  if (own === undefined || Number.isNaN(own)) return queueTtlMs;
  return queueTtlMs === undefined ? own : Math.min(own, queueTtlMs);
}

class MemoryDelivery implements Delivery {
  readonly message: Message;
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly deliveryTag: string;
  readonly redelivered: boolean;
  /** Nothing in here survives the death of its consumer, so nothing is ever handed over twice against its will. */
  readonly deliveryCount = 1;
  readonly stored: Stored;
  readonly #consumer: MemoryConsumer | undefined;
  readonly #broker: MemoryBroker;
  #settled = false;

  constructor(stored: Stored, queue: string, broker: MemoryBroker, consumer: MemoryConsumer | undefined) {
    this.stored = stored;
    this.message = stored.message;
    this.queue = queue;
    this.exchange = stored.to.exchange;
    this.routingKey = stored.to.routingKey;
    this.deliveryTag = stored.tag;
    this.redelivered = stored.redelivered;
    stored.redelivered = true;
    this.#broker = broker;
    this.#consumer = consumer;
  }

  ack(): Promise<void> {
    this.settle(undefined);
    return SETTLED;
  }

  reject({ requeue }: { readonly requeue: boolean }): Promise<void> {
    this.settle(requeue ? 'back' : undefined);
    return SETTLED;
  }

  held(): true | Promise<boolean> {
    return this.#settled ? Promise.resolve(false) : true;
  }

  settle(putBack: 'front' | 'back' | undefined): void {
    if (this.#settled) return;
    this.#settled = true;
    const queue = this.#broker.queue(this.queue);
    this.#consumer?.release(this);
    if (putBack) this.#broker.putBack(queue, this.stored, putBack);
    if (this.#consumer) this.#consumer.refill();
    else this.#broker.dispatch(queue);
  }
}

/** What the consumers of one channel hold together. */
interface Window {
  unsettled: number;
  /** Who has been served the longest time ago comes first. */
  readonly consumers: Set<MemoryConsumer>;
}

class MemoryConsumer implements Consumer {
  readonly #queue: MemoryQueue;
  readonly #broker: MemoryBroker;
  readonly #window: Window;
  readonly #deliver: (delivery: Delivery) => void;
  readonly #options: ConsumeOptions;
  readonly #unsettled = new Set<MemoryDelivery>();
  #prefetch: number;
  #active = true;

  constructor(
    queue: MemoryQueue,
    broker: MemoryBroker,
    window: Window,
    deliver: (delivery: Delivery) => void,
    options: ConsumeOptions,
  ) {
    this.#queue = queue;
    this.#broker = broker;
    this.#window = window;
    this.#deliver = deliver;
    this.#options = options;
    this.#prefetch = options.prefetch;
  }

  get free(): boolean {
    if (this.#prefetch < 0) return false;
    return this.#prefetch === 0 || this.#options.noAck === true || this.#window.unsettled < this.#prefetch;
  }

  get lastProofMs(): number {
    return this.#broker.clock.monotonic();
  }

  accept(stored: Stored): void {
    const delivery = new MemoryDelivery(stored, this.#queue.name, this.#broker, this);
    if (!this.#options.noAck) {
      this.#unsettled.add(delivery);
      this.#window.unsettled++;
    }
    if (this.#window.consumers.delete(this)) this.#window.consumers.add(this);
    queueMicrotask(() => this.#deliver(delivery));
  }

  release(delivery: MemoryDelivery): void {
    if (this.#unsettled.delete(delivery)) this.#window.unsettled--;
  }

  /** There is room in the window, for any of those that share it. */
  refill(): void {
    if (!this.#window.consumers.has(this)) this.#broker.dispatch(this.#queue);
    for (const consumer of [...this.#window.consumers]) this.#broker.dispatch(consumer.#queue);
  }

  setPrefetch(count: number): Promise<void> {
    this.#prefetch = count;
    this.#broker.dispatch(this.#queue);
    return SETTLED;
  }

  cancel(): Promise<void> {
    if (!this.#active) return SETTLED;
    this.#active = false;
    this.#window.consumers.delete(this);
    const at = this.#queue.consumers.indexOf(this);
    if (at >= 0) this.#queue.consumers.splice(at, 1);
    if (this.#queue.autoDelete && this.#queue.consumers.length === 0 && this.#broker.find(this.#queue.name)) {
      this.#broker.deleteQueue(this.#queue.name);
    }
    return SETTLED;
  }

  cancelledByBroker(): void {
    if (!this.#active) return;
    this.#active = false;
    this.#window.consumers.delete(this);
    this.#options.onCancel?.(new ChannelError(`queue "${this.#queue.name}" was deleted`));
  }

  /** Puts back what is unsettled, newest first, so that the oldest is served first again. */
  restore(): void {
    for (const delivery of [...this.#unsettled].reverse()) delivery.settle('front');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.cancel();
  }
}

class MemoryChannel implements Channel {
  readonly #broker: MemoryBroker;
  readonly #consumers = new Set<MemoryConsumer>();
  readonly #window: Window = { unsettled: 0, consumers: new Set() };
  readonly #got = new Set<MemoryDelivery>();
  #closed = false;

  constructor(broker: MemoryBroker) {
    this.#broker = broker;
  }

  async declare(entity: Entity): Promise<void> {
    this.#check();
    this.#broker.declare(entity);
  }

  async publish(message: Message, to: Destination, options: PublishOptions = {}): Promise<void> {
    this.#check();
    this.#broker.publish(message, to, options);
  }

  async consume(queue: Queue, deliver: (delivery: Delivery) => void, options: ConsumeOptions): Promise<Consumer> {
    this.#check();
    this.#broker.declare(queue);
    const state = this.#broker.queue(queue.name);
    const consumer = new MemoryConsumer(state, this.#broker, this.#window, deliver, options);
    this.#consumers.add(consumer);
    this.#window.consumers.add(consumer);
    state.consumers.push(consumer);
    this.#broker.dispatch(state);
    return consumer;
  }

  async get(name: string): Promise<Delivery | undefined> {
    this.#check();
    const queue = this.#broker.find(name);
    const stored = queue && this.#broker.take(queue);
    if (!stored) return undefined;
    const delivery = new MemoryDelivery(stored, name, this.#broker, undefined);
    this.#got.add(delivery);
    return delivery;
  }

  async size(queue: string): Promise<number> {
    this.#check();
    return this.#broker.find(queue)?.ready.size ?? 0;
  }

  async purge(queue: string): Promise<number> {
    this.#check();
    return this.#broker.find(queue)?.ready.clear() ?? 0;
  }

  async deleteQueue(queue: string): Promise<void> {
    this.#check();
    this.#broker.deleteQueue(queue);
  }

  async deleteExchange(exchange: string): Promise<void> {
    this.#check();
    this.#broker.bindings.removeExchange(exchange);
  }

  async bindings(exchange?: string): Promise<readonly Binding[]> {
    this.#check();
    const all = this.#broker.bindings.all();
    return exchange === undefined ? all : all.filter((binding) => binding.exchange === exchange);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const consumer of this.#consumers) await consumer.cancel();
    for (const consumer of this.#consumers) consumer.restore();
    for (const delivery of [...this.#got].reverse()) delivery.settle('front');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #check(): void {
    if (this.#closed) throw new OperationalError('the channel is closed', { recoverable: true });
  }
}

class MemoryConnection implements Connection {
  readonly #broker: MemoryBroker;
  readonly #channels = new Set<MemoryChannel>();
  readonly #closed = deferred<Error | undefined>();
  #open = true;

  constructor(broker: MemoryBroker) {
    this.#broker = broker;
  }

  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  async channel(): Promise<Channel> {
    if (!this.#open) throw new OperationalError('the connection is closed', { recoverable: true });
    const channel = new MemoryChannel(this.#broker);
    this.#channels.add(channel);
    return channel;
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    for (const channel of this.#channels) await channel.close();
    this.#closed.resolve(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const CAPABILITIES: TransportCapabilities = {
  exchanges: 'emulated',
  priority: 'lowest-first',
  fanout: true,
  delay: 'native',
  persistent: false,
  shared: false,
  deliveryCount: true,
};

const INFO: BrokerInfo = { hostname: 'localhost', port: null, virtualHost: '/', userid: null, ssl: false };

class MemoryTransport implements Transport {
  readonly name = 'memory';
  readonly displayUrl = 'memory://';
  readonly capabilities: TransportCapabilities = CAPABILITIES;
  readonly info: BrokerInfo = INFO;
  readonly #broker: MemoryBroker;

  constructor(context: DriverContext) {
    this.#broker = new MemoryBroker(context);
  }

  async connect(): Promise<Connection> {
    return new MemoryConnection(this.#broker);
  }
}

export function createTransport(_url: string, _options: TransportOptions, context: DriverContext): Transport {
  return new MemoryTransport(context);
}
