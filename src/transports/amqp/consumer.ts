import type { ConsumeMessage } from 'amqplib';
import { ChannelError, type CeleryError } from '../../errors.ts';
import type { Queue } from '../../messaging/entity.ts';
import type { Consumer, ConsumeOptions, Delivery } from '../transport.ts';
import type { AmqpConnection, Probed } from './connection.ts';
import { AmqpDelivery, type DeliveryPlace } from './delivery.ts';
import type { Intake, Reader } from './intake.ts';

/*
 * How a consumer's window is kept. Queues of the classic type on RabbitMQ 3 share one window per channel, which may
 * change at any time. Others have a window for each consumer that is fixed when it begins, so changing it means to
 * begin anew; what the earlier consumer was given and has not settled counts against the new window.
 */

/** Keeps the window of the consumers of one channel: none may have more than the smallest asks for. */
export interface SharedWindow {
  set(consumer: AmqpConsumer, count: number): Promise<void>;
  leave(consumer: AmqpConsumer): void;
}

export interface ConsumerParts {
  readonly connection: AmqpConnection;
  readonly intake: Intake;
  readonly queue: Queue;
  readonly deliver: (delivery: Delivery) => void;
  readonly options: ConsumeOptions;
  /** undefined: the window is its own. */
  readonly window: SharedWindow | undefined;
  readonly onEnd: (consumer: AmqpConsumer) => void;
}

export class AmqpConsumer implements Consumer, Reader, Probed {
  readonly intake: Intake;
  readonly #parts: ConsumerParts;
  readonly #noAck: boolean;
  readonly #place: DeliveryPlace;
  #tag = '';
  #proofMs = 0;
  #over = false;
  /** The window asked for; 0 is without limit, below 0 nothing is delivered. */
  #wanted: number;
  /** The window the present subscription began with. */
  #given = 0;
  #generation = 0;
  /** Unsettled deliveries of this subscription, and of earlier ones. */
  #unsettled = 0;
  #carried = 0;
  /** Nothing is wanted, or what is unsettled fills the window: there is no subscription until that changes. */
  #paused = false;
  #renewing: Promise<void> | undefined;

  constructor(parts: ConsumerParts) {
    this.#parts = parts;
    this.intake = parts.intake;
    this.#noAck = parts.options.noAck === true;
    this.#place = { queue: parts.queue.name, exchange: parts.queue.exchange?.name ?? '' };
    this.#wanted = parts.options.prefetch;
  }

  get lastProofMs(): number {
    return this.#proofMs;
  }

  async start(): Promise<void> {
    const { connection, window } = this.#parts;
    if (window && !this.#noAck && this.#wanted >= 0) await window.set(this, this.#wanted);
    await this.#subscribe();
    this.#proofMs = connection.context.clock.monotonic();
    connection.watch(this);
  }

  async #subscribe(): Promise<void> {
    const { connection, intake, queue, window } = this.#parts;
    this.#paused = !this.#noAck && this.#full;
    if (this.#paused) return;
    if (!window && !this.#noAck) {
      this.#given = this.#wanted === 0 ? 0 : this.#wanted - this.#carried;
      await intake.limit(this.#given, false);
    }
    this.#tag = `celeriac-${connection.context.random.uuid()}`;
    await intake.subscribe(queue.name, this.#tag, this, { noAck: this.#noAck, arguments: queue.consumerArguments });
  }

  receive(raw: ConsumeMessage): void {
    const { intake, deliver, window } = this.#parts;
    if (this.#noAck || window) {
      deliver(new AmqpDelivery(raw, this.#place, intake, this.#noAck));
      return;
    }
    const generation = this.#generation;
    this.#unsettled++;
    deliver(new AmqpDelivery(raw, this.#place, intake, false, () => this.#settled(generation)));
  }

  #settled(generation: number): void {
    if (generation === this.#generation) {
      this.#unsettled--;
      return;
    }
    this.#carried--;
    if (this.#tooSmall) {
      this.#renew().catch((error: unknown) => {
        this.#parts.connection.context.log.debug({ error }, 'the consumer could not begin anew');
      });
    }
  }

  async setPrefetch(count: number): Promise<void> {
    if (count === this.#wanted || this.#over) return;
    const { window } = this.#parts;
    const pauses = count < 0 || this.#wanted < 0;
    this.#wanted = count;
    if (this.#noAck) return;
    if (window && count >= 0) await window.set(this, count);
    if (!window || pauses) await this.#renew();
  }

  /** Begins anew with the window that is wanted now. Many calls at a time are one, or two. */
  async #renew(): Promise<void> {
    const wanted = this.#wanted;
    await (this.#renewing ??= this.#begin().finally(() => (this.#renewing = undefined)));
    // Another window was asked for meanwhile, or what filled this one was settled.
    if (this.#over || !this.intake.alive) return;
    if (wanted !== this.#wanted || this.#tooSmall) await this.#renew();
  }

  /** What was carried over has been settled: the window may grow back to what was asked for. */
  get #tooSmall(): boolean {
    if (this.#paused) return !this.#full;
    return !this.#parts.window && this.#wanted > 0 && this.#given + this.#carried <= this.#wanted / 2;
  }

  /** Nothing may be delivered now. */
  get #full(): boolean {
    if (this.#wanted < 0 || this.#parts.window) return this.#wanted < 0;
    return this.#wanted !== 0 && this.#carried >= this.#wanted;
  }

  async #begin(): Promise<void> {
    if (this.#over || !this.intake.alive) return;
    if (!this.#paused) await this.intake.unsubscribe(this.#tag);
    this.#generation++;
    this.#carried += this.#unsettled;
    this.#unsettled = 0;
    if (!this.#over) await this.#subscribe();
  }

  /** Whether the queue is there, answered by the broker. Never rejects. */
  async probe(): Promise<void> {
    const { connection, queue } = this.#parts;
    if (this.#over) return;
    try {
      await connection.lane.ask(`asking for the queue "${queue.name}"`, (raw) => raw.checkQueue(queue.name));
      this.#proofMs = connection.context.clock.monotonic();
    } catch (error) {
      if (error instanceof ChannelError) this.cancelled(error);
    }
  }

  cancelled(reason: CeleryError): void {
    if (this.#over) return;
    this.#end();
    if (/timed out/.test(reason.message)) {
      this.#parts.connection.context.log.error(
        { queue: this.#parts.queue.name, error: reason },
        'the broker took back messages that were not settled in time (its consumer_timeout): raise it, let tasks end sooner, or turn on native delayed delivery for far ETAs',
      );
    }
    this.#parts.options.onCancel?.(reason, this.intake.alive);
  }

  /** Its channel is closed on purpose, or the connection is gone, which its owner is told anyway. */
  lost(): void {
    if (!this.#over) this.#end();
  }

  async cancel(): Promise<void> {
    if (this.#over) return;
    this.#end();
    await this.#renewing?.catch(() => {});
    await this.intake.unsubscribe(this.#tag);
  }

  #end(): void {
    this.#over = true;
    this.#parts.connection.dismiss(this);
    this.#parts.window?.leave(this);
    this.#parts.onEnd(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cancel();
  }
}
