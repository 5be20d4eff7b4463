import type { Headers, MessageProperties } from '../protocol/message.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { Connection } from './connection.ts';
import type { Entity, Exchange } from './entity.ts';
import { encodePayload, type Encoding } from './payload.ts';
import type { RetryPolicy } from './retry-policy.ts';

export interface MessageProducerOptions {
  /** Where messages go that name no exchange. @default the default exchange, which routes by queue name */
  readonly exchange?: Exchange | undefined;
  readonly routingKey?: string | undefined;
  readonly serializer?: string | undefined;
  readonly compression?: string | undefined;
  /** Declare `exchange` before the first message. @default true */
  readonly autoDeclare?: boolean | undefined;
  /** For every message that has no policy of its own. @default 3 more tries after 0, 0.2 and 0.4 s */
  readonly retryPolicy?: RetryPolicy | undefined;
}

type Named = 'correlationId' | 'replyTo' | 'messageId' | 'timestamp' | 'type' | 'userId' | 'appId';

export interface PublishOptions extends Encoding, Pick<MessageProperties, Named> {
  readonly exchange?: Exchange | string | undefined;
  readonly routingKey?: string | undefined;
  readonly headers?: Headers | undefined;
  /** 2 survives a restart of the broker. @default the exchange's, else 2 */
  readonly deliveryMode?: 1 | 2 | 'transient' | 'persistent' | undefined;
  /** 0 to 9, or to 255 on AMQP; which number goes first is the broker's affair. @default 0 */
  readonly priority?: number | undefined;
  /** How long the message is worth delivering. */
  readonly expiration?: Duration | undefined;
  /** Deliver no sooner than this; only where the transport's `capabilities.delay` is `native`. */
  readonly delay?: Duration | undefined;
  /** Reject where no queue would get the message. */
  readonly mandatory?: boolean | undefined;
  /** Declared first, once for each connection. */
  readonly declare?: readonly Entity[] | undefined;
  /** `false`: one try. @default true */
  readonly retry?: boolean | undefined;
  readonly retryPolicy?: RetryPolicy | undefined;
  /** Longest time for all tries together. @default '30s' */
  readonly timeout?: Duration | undefined;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_RETRIES = 3;

/** Sends messages. Source: `kombu.Producer`. */
export class MessageProducer {
  readonly #connection: Connection;
  readonly #options: MessageProducerOptions;

  constructor(connection: Connection, options: MessageProducerOptions = {}) {
    this.#connection = connection;
    this.#options = options;
  }

  /**
   * Resolves when the broker owns the message.
   * Differs: tried again by default, kombu's `publish` is not.
   * @param body anything the serializer writes; texts and bytes go as they are where none is named
   * @throws {OperationalError} when the broker stays out of reach or refuses (an exchange that does not exist, on AMQP),
   *   {EncodeError}, {ChannelError} for a `mandatory` message that no queue would get
   */
  async publish(body: unknown, options: PublishOptions = {}): Promise<void> {
    const own = this.#options;
    const { exchange: given = own.exchange } = options;
    const exchange = typeof given === 'object' ? given : undefined;
    const { compression, ...encoded } = await encodePayload(
      body,
      {
        serializer: options.serializer ?? own.serializer,
        contentType: options.contentType,
        contentEncoding: options.contentEncoding,
        compression: options.compression ?? own.compression,
      },
      this.#connection.serializers,
    );
    const message = {
      ...encoded,
      headers: compression === undefined ? (options.headers ?? {}) : { ...options.headers, compression },
      properties: properties(options, exchange ?? own.exchange),
    };
    const to = { exchange: exchange?.name ?? (given as string | undefined) ?? '', routingKey: this.#key(options) };
    const declares = [...(this.#declares(exchange) ? [exchange as Exchange] : []), ...(options.declare ?? [])];
    const { mandatory, signal } = options;
    const delayMs = options.delay === undefined ? undefined : durationMs(options.delay);
    await this.#connection.ensureDeclared(
      declares,
      (channel) => channel.publish(message, to, { mandatory, delayMs }),
      this.#policy(options, signal),
    );
  }

  #key(options: PublishOptions): string {
    return options.routingKey ?? this.#options.routingKey ?? '';
  }

  #declares(exchange: Exchange | undefined): boolean {
    return exchange !== undefined && exchange.name !== '' && (this.#options.autoDeclare ?? true);
  }

  #policy({ retry, retryPolicy, timeout }: PublishOptions, signal: AbortSignal | undefined): RetryPolicy {
    const base = { maxRetries: DEFAULT_RETRIES, ...this.#options.retryPolicy, ...retryPolicy };
    return {
      ...base,
      ...(timeout === undefined ? {} : { timeout }),
      ...(signal === undefined ? {} : { signal }),
      ...(retry === false ? { maxRetries: 0 } : {}),
    };
  }
}

function properties(options: PublishOptions, exchange: Exchange | undefined): MessageProperties {
  const { correlationId, replyTo, messageId, timestamp, type, userId, appId, expiration } = options;
  const mode = options.deliveryMode ?? exchange?.deliveryMode ?? 2;
  return {
    correlationId,
    replyTo,
    messageId,
    timestamp,
    type,
    userId,
    appId,
    deliveryMode: mode === 'transient' ? 1 : mode === 'persistent' ? 2 : mode,
    priority: options.priority ?? 0,
    expiration: expiration === undefined ? undefined : String(Math.round(durationMs(expiration))),
  };
}
