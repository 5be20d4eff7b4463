import { OperationalError } from '../../errors.ts';
import type { Binding, Entity, Queue } from '../../messaging/entity.ts';
import type { Message } from '../../protocol/message.ts';
import type {
  Channel,
  ConsumeOptions,
  Consumer,
  Delivery,
  Destination,
  LeaseHolder,
  PublishOptions,
  Suspicion,
} from '../transport.ts';
import type { Claimer, Holder, SqliteBroker, Window } from './broker.ts';
import type { Claimed } from './tables.ts';

const SETTLED: Promise<void> = Promise.resolve();

class SqliteDelivery implements Delivery {
  readonly message: Message;
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly deliveryTag: number;
  readonly redelivered: boolean;
  readonly deliveryCount: number;
  readonly #owner: SqliteConsumer | SqliteChannel;
  readonly #broker: SqliteBroker;
  #settled: boolean;
  #noted = false;
  holder: LeaseHolder | undefined;

  constructor(
    claimed: Claimed,
    queue: string,
    broker: SqliteBroker,
    owner: SqliteConsumer | SqliteChannel,
    noAck: boolean,
  ) {
    this.message = claimed.message;
    this.queue = queue;
    this.exchange = claimed.exchange;
    this.routingKey = claimed.routingKey;
    this.deliveryTag = claimed.id;
    this.redelivered = claimed.redelivered;
    this.deliveryCount = claimed.deliveries;
    this.#broker = broker;
    this.#owner = owner;
    this.#settled = noAck;
  }

  get suspicion(): Suspicion {
    return { returns: this.deliveryCount - 1, everyRun: true, begin: (limit) => this.#begin(limit) };
  }

  async #begin(limit: number): Promise<boolean> {
    this.#noted = true;
    return (await this.#broker.noteRun(this.deliveryTag)) >= limit;
  }

  ack(): Promise<void> {
    return this.settle('remove');
  }

  reject({ requeue }: { readonly requeue: boolean }): Promise<void> {
    return this.settle(requeue ? 'giveBack' : 'remove');
  }

  held(): true | Promise<boolean> {
    if (this.#settled) return Promise.resolve(false);
    const held = this.#broker.held(this.deliveryTag);
    return held === true ? true : this.#learn(held);
  }

  /** Who has lost a message will not settle it: it must not take up room any longer. */
  async #learn(asked: Promise<boolean>): Promise<boolean> {
    const held = await asked;
    if (!held && !this.#settled) {
      this.#settled = true;
      this.#owner.released(this);
    }
    return held;
  }

  lost(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#owner.released(this);
    this.holder?.leaseLost(this);
  }

  settle(how: 'remove' | 'giveBack' | 'restore'): Promise<void> {
    if (this.#settled) return SETTLED;
    this.#settled = true;
    this.#owner.released(this);
    return this.#broker.settle(this.deliveryTag, how, this.#noted);
  }
}

class SqliteConsumer implements Consumer, Claimer {
  readonly queue: string;
  readonly noAck: boolean;
  readonly window: Window;
  readonly #broker: SqliteBroker;
  readonly #deliver: (delivery: Delivery) => void;
  readonly #unsettled = new Set<SqliteDelivery>();
  readonly #deletes: boolean;
  #prefetch: number;
  #active = true;

  constructor(
    queue: Queue,
    broker: SqliteBroker,
    window: Window,
    deliver: (delivery: Delivery) => void,
    options: ConsumeOptions,
  ) {
    this.queue = queue.name;
    this.window = window;
    this.noAck = options.noAck ?? false;
    this.#deletes = queue.autoDelete;
    this.#broker = broker;
    this.#deliver = deliver;
    this.#prefetch = options.prefetch;
  }

  get free(): number {
    if (!this.#active || this.#prefetch < 0) return 0;
    return this.#prefetch === 0 || this.noAck ? Infinity : this.#prefetch - this.window.unsettled;
  }

  get lastProofMs(): number {
    return this.#broker.lastReadMs;
  }

  accept(claimed: readonly Claimed[]): void {
    for (const one of claimed) {
      const delivery = new SqliteDelivery(one, this.queue, this.#broker, this, this.noAck);
      if (!this.noAck) {
        this.#unsettled.add(delivery);
        this.window.unsettled++;
      }
      if (this.#active) this.#deliver(delivery);
      else if (!this.noAck) delivery.settle('restore').catch(() => {});
    }
  }

  released(delivery: SqliteDelivery): void {
    if (this.#unsettled.delete(delivery)) this.window.unsettled--;
    this.#broker.wake();
  }

  lost(): void {
    for (const delivery of [...this.#unsettled]) delivery.lost();
  }

  async setPrefetch(count: number): Promise<void> {
    this.#prefetch = count;
    this.#broker.wake();
  }

  async cancel(): Promise<void> {
    if (!this.#active) return;
    this.#active = false;
    this.#broker.removeClaimer(this);
    if (this.#deletes && this.#broker.isOpen) await this.#broker.deleteQueue(this.queue);
  }

  async restore(): Promise<void> {
    await Promise.all([...this.#unsettled].map((delivery) => delivery.settle('restore')));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.cancel();
  }
}

export class SqliteChannel implements Channel, Holder {
  readonly #broker: SqliteBroker;
  readonly #consumers = new Set<SqliteConsumer>();
  readonly #got = new Set<SqliteDelivery>();
  readonly #window: Window = { unsettled: 0 };
  #closed = false;

  constructor(broker: SqliteBroker) {
    this.#broker = broker;
    broker.holders.add(this);
  }

  async declare(entity: Entity): Promise<void> {
    this.#check();
    await this.#broker.declare(entity);
  }

  async publish(message: Message, to: Destination, options: PublishOptions = {}): Promise<void> {
    this.#check();
    options.signal?.throwIfAborted();
    await this.#broker.publish(message, to, options);
  }

  async consume(queue: Queue, deliver: (delivery: Delivery) => void, options: ConsumeOptions): Promise<Consumer> {
    await this.declare(queue);
    const consumer = new SqliteConsumer(queue, this.#broker, this.#window, deliver, options);
    this.#consumers.add(consumer);
    await this.#broker.addClaimer(consumer);
    return consumer;
  }

  async get(queue: string): Promise<Delivery | undefined> {
    this.#check();
    const claimed = await this.#broker.take(queue);
    if (!claimed) return undefined;
    const delivery = new SqliteDelivery(claimed, queue, this.#broker, this, false);
    this.#got.add(delivery);
    return delivery;
  }

  lost(): void {
    for (const consumer of this.#consumers) consumer.lost();
    for (const delivery of [...this.#got]) delivery.lost();
  }

  released(delivery: SqliteDelivery): void {
    this.#got.delete(delivery);
  }

  async size(queue: string): Promise<number> {
    this.#check();
    return this.#broker.size(queue);
  }

  async purge(queue: string): Promise<number> {
    this.#check();
    return this.#broker.purge(queue);
  }

  async deleteQueue(queue: string): Promise<void> {
    this.#check();
    await this.#broker.deleteQueue(queue);
  }

  async deleteExchange(exchange: string): Promise<void> {
    this.#check();
    await this.#broker.deleteExchange(exchange);
  }

  async bindings(exchange?: string): Promise<readonly Binding[]> {
    this.#check();
    const all = this.#broker.bindings();
    return exchange === undefined ? all : all.filter((binding) => binding.exchange === exchange);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#broker.holders.delete(this);
    if (!this.#broker.isOpen) return;
    for (const consumer of this.#consumers) await consumer.cancel();
    for (const consumer of this.#consumers) await consumer.restore();
    await Promise.all([...this.#got].map((delivery) => delivery.settle('restore')));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #check(): void {
    if (this.#closed) throw new OperationalError('the channel is closed', { recoverable: true });
  }
}
