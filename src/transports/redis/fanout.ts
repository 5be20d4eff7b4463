import { decodeEnvelope } from '../../protocol/virtual.ts';
import type { Delivery, DriverContext } from '../transport.ts';
import { RedisDelivery } from './delivery.ts';
import type { KeySpace } from './keys.ts';
import type { RedisSocket } from './socket.ts';

/** Somebody who receives what is published to a fan-out exchange. */
export interface Listener {
  readonly queue: string;
  readonly deliver: (delivery: Delivery) => void;
}

/**
 * Fan-out over pub/sub, one socket per connection. Nothing is stored: who is not subscribed misses it.
 * Patterns are Redis globs (`#` becomes `*`), so `*` also spans dots.
 */
export class FanoutReceiver {
  readonly #openSocket: () => Promise<RedisSocket>;
  readonly #keys: KeySpace;
  readonly #context: DriverContext;
  readonly #listeners = new Map<string, Set<Listener>>();
  #socket: Promise<RedisSocket> | undefined;
  #opened: RedisSocket | undefined;

  constructor(openSocket: () => Promise<RedisSocket>, keys: KeySpace, context: DriverContext) {
    this.#openSocket = openSocket;
    this.#keys = keys;
    this.#context = context;
  }

  /** `clock.monotonic()` of the last answer or message. */
  get proofMs(): number {
    return this.#opened?.lastReplyMs ?? this.#context.clock.monotonic();
  }

  /** Source: `Channel._get_subscribe_topic`. */
  pattern({ exchange, routingKey }: { readonly exchange: string; readonly routingKey: string }): string {
    const { fanoutPrefix, fanoutPatterns } = this.#keys;
    const key = fanoutPatterns && routingKey !== '' ? `/${routingKey.replaceAll('#', '*')}` : '';
    return `${fanoutPrefix}${exchange}${key}`;
  }

  /** Resolves when the server has confirmed: what is published from now on arrives. */
  async subscribe(pattern: string, listener: Listener): Promise<void> {
    const socket = await (this.#socket ??= this.#open());
    let listeners = this.#listeners.get(pattern);
    if (!listeners) this.#listeners.set(pattern, (listeners = new Set()));
    listeners.add(listener);
    await socket.psubscribe([pattern]);
  }

  async unsubscribe(pattern: string, listener: Listener): Promise<void> {
    const listeners = this.#listeners.get(pattern);
    if (!listeners?.delete(listener) || listeners.size > 0) return;
    this.#listeners.delete(pattern);
    if (this.#opened && !this.#opened.ended) await this.#opened.punsubscribe([pattern]);
  }

  async #open(): Promise<RedisSocket> {
    const socket = await this.#openSocket();
    this.#opened = socket;
    socket.onPatternMessage((pattern, channel, text) => this.#receive(pattern, channel, text));
    return socket;
  }

  #receive(pattern: string, channel: string, text: string): void {
    if (this.#opened) this.#opened.lastReplyMs = this.#context.clock.monotonic();
    const listeners = this.#listeners.get(pattern);
    if (!listeners) return;
    try {
      const envelope = decodeEnvelope(text);
      for (const { queue, deliver } of listeners) deliver(new RedisDelivery(envelope, queue, 0, undefined));
    } catch (error) {
      this.#context.log.warn({ error, channel }, 'a broadcast that is no message was ignored');
    }
  }
}
