import type { Headers, MessageProperties } from '../protocol/message.ts';
import type { Delivery } from '../transports/transport.ts';

/** What was done with a message; kombu's words. */
export type MessageState = 'RECEIVED' | 'ACK' | 'REJECTED' | 'REQUEUED';

/** The queue a message came from, and the way it took there. */
export interface DeliveryInfo {
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
}

/** A received message. Source: `kombu.message.Message`. */
export class Message<T = unknown> {
  /** The decoded body; undefined where it could not be decoded. */
  readonly payload: T;
  /** The body as it came: serialized, and compressed where the sender did so. */
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly headers: Headers;
  readonly properties: Readonly<MessageProperties>;
  readonly deliveryInfo: DeliveryInfo;
  readonly deliveryTag: string | number;
  /** Was handed over before, here or elsewhere. */
  readonly redelivered: boolean;
  /** Changes when it is settled. */
  state: MessageState;
  readonly #delivery: Delivery;
  readonly #onSettled: (() => void) | undefined;

  /** @param settled the broker counts it as acknowledged already */
  constructor(delivery: Delivery, payload: T, settled: boolean, onSettled?: () => void) {
    const { body, contentType, contentEncoding, headers, properties } = delivery.message;
    const { queue, exchange, routingKey, deliveryTag, redelivered } = delivery;
    this.payload = payload;
    this.body = body;
    this.contentType = contentType;
    this.contentEncoding = contentEncoding;
    this.headers = headers;
    this.properties = properties;
    this.deliveryInfo = { queue, exchange, routingKey };
    this.deliveryTag = deliveryTag;
    this.redelivered = redelivered;
    this.state = settled ? 'ACK' : 'RECEIVED';
    this.#delivery = delivery;
    this.#onSettled = onSettled;
  }

  /** Settled in one way or another. */
  get acknowledged(): boolean {
    return this.state !== 'RECEIVED';
  }

  /** It was dealt with; the broker forgets it. Settling twice does nothing. */
  ack(): Promise<void> {
    return this.#settle('ACK', () => this.#delivery.ack());
  }

  /** Refused: to the dead-letter exchange where there is one, else gone. @param options.requeue back to its queue */
  reject(options: { readonly requeue?: boolean } = {}): Promise<void> {
    const requeue = options.requeue ?? false;
    return this.#settle(requeue ? 'REQUEUED' : 'REJECTED', () => this.#delivery.reject({ requeue }));
  }

  /** Back to its queue. */
  requeue(): Promise<void> {
    return this.reject({ requeue: true });
  }

  async #settle(state: MessageState, tell: () => Promise<void>): Promise<void> {
    if (this.acknowledged) return;
    this.state = state;
    this.#onSettled?.();
    await tell();
  }
}
