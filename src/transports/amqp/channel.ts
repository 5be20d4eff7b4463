import type { Channel as RawChannel } from 'amqplib';
import { ChannelError, UsageError, type CeleryError } from '../../errors.ts';
import type { Entity, Queue } from '../../messaging/entity.ts';
import type { Message } from '../../protocol/message.ts';
import type { Channel, Consumer, ConsumeOptions, Delivery, Destination, PublishOptions } from '../transport.ts';
import type { AmqpConnection } from './connection.ts';
import { AmqpConsumer, type SharedWindow } from './consumer.ts';
import { declare } from './declare.ts';
import { AmqpDelivery } from './delivery.ts';
import { replyCode } from './errors.ts';
import { Intake } from './intake.ts';
import { Publisher } from './publisher.ts';

const MISSING = 404;
/** A delay of whole seconds is still whole when the message leaves a little later. */
const ON_THE_WAY_MS = 50;

/**
 * One of ours is several of the broker's: for questions (the connection's lane), for publishing, for reading without
 * and with acknowledgement. An error of one leaves the others alone.
 */
export class AmqpChannel implements Channel {
  readonly #connection: AmqpConnection;
  readonly #publisher: Publisher;
  readonly #onClose: () => void;
  readonly #consumers = new Set<AmqpConsumer>();
  readonly #intakes = new Set<Intake>();
  readonly #windows = new Windows();
  #shared: Promise<Intake> | undefined;
  #unacknowledged: Promise<Intake> | undefined;
  #getting: Promise<Intake> | undefined;
  #closing: Promise<void> | undefined;

  constructor(connection: AmqpConnection, onClose: () => void) {
    this.#connection = connection;
    this.#publisher = new Publisher(connection);
    this.#onClose = onClose;
  }

  async declare(entity: Entity): Promise<void> {
    this.#usable();
    await declare(this.#connection.lane, entity, this.#connection.settings.declare);
    if (entity.kind === 'queue') await this.#connection.delayed?.admit(entity);
    this.#connection.declared.add(entity);
  }

  /** Hot path: one promise, the publisher's. */
  publish(message: Message, to: Destination, options?: PublishOptions): Promise<void> {
    const waits = options !== undefined && (options.delayMs !== undefined || options.etaMs !== undefined);
    return waits ? this.#publishLater(message, to, options) : this.#publisher.publish(message, to, options);
  }

  async #publishLater(message: Message, to: Destination, options: PublishOptions): Promise<void> {
    const { delayed } = this.#connection;
    if (!delayed) {
      if (options.delayMs === undefined) return this.#publisher.publish(message, to, options);
      throw new UsageError(
        'this AMQP broker delays no messages: set the transport option native_delayed_delivery, or use a quorum queue',
      );
    }
    if (this.#connection.ended) throw this.#connection.ended;
    const address = await delayed.address(to, this.#secondsLeft(options));
    return this.#publisher.publish(message, address ?? to, options);
  }

  /** Whole seconds: without an ETA in the message never too early, with one hardly too late. */
  #secondsLeft({ delayMs = 0, etaMs }: PublishOptions): () => number {
    if (etaMs === undefined) return () => Math.ceil(delayMs / 1000);
    const { clock } = this.#connection.context;
    const least = delayMs > 0 ? 1 : 0;
    return () => Math.max(least, Math.floor((etaMs - clock.now() + ON_THE_WAY_MS) / 1000));
  }

  async consume(queue: Queue, deliver: (delivery: Delivery) => void, options: ConsumeOptions): Promise<Consumer> {
    this.#usable();
    if (!this.#connection.declared.has(queue)) await this.declare(queue);
    try {
      return await this.#consume(queue, deliver, options);
    } catch (error) {
      if (!(error instanceof ChannelError) || replyCode(error.cause) !== MISSING) throw error;
      // It was declared and has expired or was deleted since.
      await this.declare(queue);
      return this.#consume(queue, deliver, options);
    }
  }

  async #consume(queue: Queue, deliver: (delivery: Delivery) => void, options: ConsumeOptions): Promise<Consumer> {
    const shares = options.noAck !== true && this.#sharesWindow(queue);
    const intake = await (options.noAck === true
      ? this.#sharedIntake('unacknowledged')
      : shares
        ? this.#sharedIntake('shared')
        : this.#open());
    const consumer = new AmqpConsumer({
      connection: this.#connection,
      intake,
      queue,
      deliver,
      options,
      window: shares ? this.#windows : undefined,
      onEnd: (ended) => this.#consumers.delete(ended),
    });
    await consumer.start();
    this.#consumers.add(consumer);
    if (queue.arguments?.['x-queue-type'] === 'quorum') void this.#connection.delayed?.prepare();
    return consumer;
  }

  /** RabbitMQ before 4, and no queue type that refuses it. */
  #sharesWindow(queue: Queue): boolean {
    const { rabbit, state } = this.#connection;
    const type = queue.arguments?.['x-queue-type'] ?? 'classic';
    return !state.refusesSharedWindow && rabbit !== undefined && rabbit[0] < 4 && type === 'classic';
  }

  async #sharedIntake(which: 'shared' | 'unacknowledged' | 'getting'): Promise<Intake> {
    const known = which === 'shared' ? this.#shared : which === 'unacknowledged' ? this.#unacknowledged : this.#getting;
    const present = await known?.catch(() => undefined);
    if (present?.alive) return present;
    const opening = this.#open();
    if (which === 'shared') this.#shared = opening;
    else if (which === 'unacknowledged') this.#unacknowledged = opening;
    else this.#getting = opening;
    return opening;
  }

  async #open(): Promise<Intake> {
    const intake = await Intake.open(this.#connection);
    for (const one of this.#intakes) if (!one.alive) this.#intakes.delete(one);
    this.#intakes.add(intake);
    return intake;
  }

  async get(queue: string): Promise<Delivery | undefined> {
    this.#usable();
    // Asking for a queue that does not exist would cost the channel what was got before.
    if (!(await this.#exists(queue))) return undefined;
    const intake = await this.#sharedIntake('getting');
    const raw = await intake.get(queue);
    return raw && new AmqpDelivery(raw, { queue, exchange: '' }, intake, false);
  }

  async #exists(queue: string): Promise<boolean> {
    const found = await this.#unlessMissing('asking for', queue, (raw) => raw.checkQueue(queue));
    return found !== undefined;
  }

  async size(queue: string): Promise<number> {
    const found = await this.#unlessMissing('asking for', queue, (raw) => raw.checkQueue(queue));
    return found?.messageCount ?? 0;
  }

  async purge(queue: string): Promise<number> {
    const purged = await this.#unlessMissing('purging', queue, (raw) => raw.purgeQueue(queue));
    return purged?.messageCount ?? 0;
  }

  async deleteQueue(queue: string): Promise<void> {
    await this.#unlessMissing('deleting', queue, (raw) => raw.deleteQueue(queue));
  }

  async deleteExchange(exchange: string): Promise<void> {
    await this.#unlessMissing('deleting', exchange, (raw) => raw.deleteExchange(exchange), 'exchange');
  }

  async #unlessMissing<T>(
    doing: string,
    name: string,
    question: (raw: RawChannel) => Promise<T>,
    kind: 'queue' | 'exchange' = 'queue',
  ): Promise<T | undefined> {
    this.#usable();
    try {
      return await this.#connection.lane.ask(`${doing} the ${kind} "${name}"`, question);
    } catch (error) {
      if (error instanceof ChannelError && replyCode(error.cause) === MISSING) return undefined;
      throw error;
    }
  }

  #usable(): void {
    if (this.#connection.ended) throw this.#connection.ended;
    if (this.#closing) throw new UsageError('the AMQP channel is closed');
  }

  /** The connection has ended. */
  lost(reason: CeleryError): void {
    for (const consumer of [...this.#consumers]) consumer.lost();
    for (const intake of this.#intakes) intake.end(reason);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    for (const consumer of [...this.#consumers]) consumer.lost();
    try {
      if (!this.#connection.ended) {
        await Promise.all([this.#publisher.close(), ...[...this.#intakes].map((intake) => intake.close())]);
      }
    } finally {
      this.#onClose();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The window that the consumers of one channel share. */
class Windows implements SharedWindow {
  readonly #counts = new Map<AmqpConsumer, number>();
  #set: number | undefined;

  async set(consumer: AmqpConsumer, count: number): Promise<void> {
    this.#counts.set(consumer, count);
    const limits = [...this.#counts.values()].filter((one) => one !== 0);
    const least = limits.length === 0 ? 0 : Math.min(...limits);
    if (least === this.#set) return;
    this.#set = least;
    await consumer.intake.limit(least, true);
  }

  leave(consumer: AmqpConsumer): void {
    this.#counts.delete(consumer);
    if (this.#counts.size === 0) this.#set = undefined;
  }
}
