import type { Message as RawMessage } from 'amqplib';
import type { Message, MessageProperties } from '../../protocol/message.ts';
import type { Delivery } from '../transport.ts';
import { arrivalOf } from './delayed.ts';
import type { Intake } from './intake.ts';
import type { RunSuspicion } from './run-notes.ts';
import { fromWire } from './values.ts';

const NOTHING = Promise.resolve();

/** Where a delivery was read. */
export interface DeliveryPlace {
  readonly queue: string;
  /** That the queue is bound to; empty text: the default exchange alone, or unknown. */
  readonly exchange: string;
}

/** A message from a queue. Its tag means something on the channel that brought it, and nowhere else. */
export class AmqpDelivery implements Delivery {
  readonly message: Message;
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly deliveryTag: number;
  readonly redelivered: boolean;
  /** Quorum queues count, but returns on purpose as well: the number is no more than a suspicion. */
  readonly deliveryCount = undefined;
  #suspicion: RunSuspicion | undefined;
  readonly #intake: Intake;
  #onSettled: (() => void) | undefined;
  #settled: boolean;

  /** @param from the queue, and the exchange that it is bound to */
  constructor(raw: RawMessage, from: DeliveryPlace, intake: Intake, noAck: boolean, onSettled?: () => void) {
    const { exchange, routingKey, deliveryTag, redelivered } = raw.fields;
    const arrival = arrivalOf(exchange, routingKey, from.exchange);
    this.message = messageOf(raw);
    this.queue = from.queue;
    this.exchange = arrival.exchange;
    this.routingKey = arrival.routingKey;
    this.deliveryTag = deliveryTag;
    this.redelivered = redelivered;
    this.#intake = intake;
    this.#onSettled = onSettled;
    this.#settled = noAck;
  }

  get suspicion(): RunSuspicion | undefined {
    const returns = this.message.headers['x-delivery-count'];
    if (typeof returns !== 'number' || returns < 1) return undefined;
    return (this.#suspicion ??= this.#intake.notes.suspicion(this.message.properties.correlationId, returns));
  }

  ack(): Promise<void> {
    if (this.#settled) return NOTHING;
    this.#settle(true);
    return this.#intake.ack(this.deliveryTag);
  }

  reject({ requeue }: { readonly requeue: boolean }): Promise<void> {
    if (this.#settled) return NOTHING;
    this.#settle(!requeue);
    return this.#intake.reject(this.deliveryTag, requeue);
  }

  held(): true | Promise<boolean> {
    return this.#intake.alive ? true : Promise.resolve(false);
  }

  #settle(forGood: boolean): void {
    this.#settled = true;
    this.#suspicion?.settled(forGood);
    this.#onSettled?.();
    this.#onSettled = undefined;
  }
}

function messageOf({ content, properties: raw }: RawMessage): Message {
  const properties: MessageProperties = {
    correlationId: raw.correlationId as string | undefined,
    replyTo: raw.replyTo as string | undefined,
    deliveryMode: raw.deliveryMode as 1 | 2 | undefined,
    priority: raw.priority as number | undefined,
    expiration: raw.expiration as string | undefined,
    messageId: raw.messageId as string | undefined,
    timestamp: raw.timestamp as number | undefined,
    type: raw.type as string | undefined,
    userId: raw.userId as string | undefined,
    appId: raw.appId as string | undefined,
  };
  return {
    body: content,
    contentType: (raw.contentType as string | undefined) ?? '',
    contentEncoding: (raw.contentEncoding as string | undefined) ?? '',
    headers: raw.headers === undefined ? {} : fromWire(raw.headers as Record<string, unknown>),
    properties,
  };
}
