import type { Channel as RawChannel, ConfirmChannel, Message as RawMessage, Options } from 'amqplib';
import { ChannelError, OperationalError } from '../../errors.ts';
import type { Message } from '../../protocol/message.ts';
import type { Destination, PublishOptions } from '../transport.ts';
import type { AmqpConnection } from './connection.ts';
import { lost, replyText, translate } from './errors.ts';
import { toTable } from './values.ts';

/** A publish whose message must reach a queue. */
interface Mandatory {
  readonly to: Destination;
  readonly correlationId: string | undefined;
  returned: string | undefined;
}

/**
 * Publishes over a channel of its own, with confirms, as many at a time as there are. A channel that the broker
 * closes fails what was on its way and is replaced by the next publish.
 */
export class Publisher {
  readonly #connection: AmqpConnection;
  #raw: ConfirmChannel | undefined;
  #opening: Promise<ConfirmChannel> | undefined;
  /** Why the channel is about to close. */
  #reason: unknown;
  readonly #mandatory = new Set<Mandatory>();

  constructor(connection: AmqpConnection) {
    this.#connection = connection;
  }

  /** @throws {OperationalError} when the broker refused or lost it; {ChannelError} when it reached no queue */
  publish(message: Message, to: Destination, options: PublishOptions | undefined): Promise<void> {
    const { ended } = this.#connection;
    if (ended) return Promise.reject(ended);
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason as Error);
    const sent =
      this.#raw === undefined
        ? this.#open().then((raw) => this.#send(raw, message, to, options))
        : this.#send(this.#raw, message, to, options);
    return options?.signal === undefined ? sent : unlessAborted(sent, options.signal);
  }

  #open(): Promise<ConfirmChannel> {
    this.#opening ??= this.#openRaw().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async #openRaw(): Promise<ConfirmChannel> {
    const { confirms } = this.#connection.settings;
    const raw = confirms ? await this.#connection.openConfirming() : await this.#connection.openRaw();
    this.#reason = undefined;
    raw.on('error', (error) => {
      this.#reason = error;
      // The reason is known before the channel fails what it has not confirmed.
      if (this.#raw === raw) this.#raw = undefined;
    });
    raw.on('close', () => {
      if (this.#raw === raw) this.#raw = undefined;
    });
    raw.on('return', (message) => this.#returned(message));
    this.#raw = raw as ConfirmChannel;
    return this.#raw;
  }

  #send(raw: ConfirmChannel, message: Message, to: Destination, options: PublishOptions | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const { exchange, routingKey } = to;
      const { body } = message;
      const content = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
      const mandatory =
        options?.mandatory === true
          ? { to, correlationId: message.properties.correlationId, returned: undefined }
          : undefined;
      const properties = propertiesOf(message, mandatory !== undefined);
      if (mandatory) this.#mandatory.add(mandatory);
      const settle = (error: unknown): void => {
        if (mandatory) this.#mandatory.delete(mandatory);
        if (error) reject(this.#failure(error, to));
        else if (mandatory?.returned !== undefined) reject(unroutable(mandatory));
        else resolve();
      };
      try {
        if (this.#connection.settings.confirms) raw.publish(exchange, routingKey, content, properties, settle);
        else {
          (raw as RawChannel).publish(exchange, routingKey, content, properties);
          settle(null);
        }
      } catch (error) {
        settle(error);
      }
    });
  }

  /** The broker returns messages in the order in which they were published, each before its confirm. */
  #returned(message: RawMessage): void {
    const { exchange, routingKey, replyText: text } = message.fields as RawMessage['fields'] & { replyText?: string };
    for (const one of this.#mandatory) {
      const same = one.to.exchange === exchange && one.to.routingKey === routingKey;
      if (!same || one.returned !== undefined || one.correlationId !== message.properties.correlationId) continue;
      one.returned = text ?? 'NO_ROUTE';
      return;
    }
  }

  #failure(error: unknown, { exchange, routingKey }: Destination): Error {
    const what = `publishing to ${exchange === '' ? `the queue "${routingKey}"` : `the exchange "${exchange}"`}`;
    const message = error instanceof Error ? error.message : String(error);
    if (message === 'message nacked') return lost(`${what}: the broker could not take the message`);
    if (message === 'channel closed' || /Illegal|channel (?:closed|closing)/i.test(message)) {
      if (this.#connection.ended) return this.#connection.ended;
      return this.#reason === undefined
        ? lost(`${what}: the channel was closed`)
        : new OperationalError(`${what}: ${replyText(this.#reason)}`, { recoverable: true, cause: this.#reason });
    }
    return translate(error, what);
  }
}

function propertiesOf(message: Message, mandatory: boolean): Options.Publish {
  const { correlationId, replyTo, deliveryMode, priority, expiration, messageId, timestamp, type, userId, appId } =
    message.properties;
  return {
    contentType: message.contentType,
    contentEncoding: message.contentEncoding,
    headers: toTable(message.headers),
    deliveryMode,
    // Python's library writes it always, and 0 where nobody said.
    priority: priority ?? 0,
    correlationId,
    replyTo,
    expiration,
    messageId,
    timestamp,
    type,
    userId,
    appId,
    mandatory,
  } as Options.Publish;
}

function unroutable({ to, returned }: Mandatory): ChannelError {
  return new ChannelError(
    `the message reached no queue (${returned}): exchange "${to.exchange}", routing key "${to.routingKey}"`,
  );
}

function unlessAborted(sent: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    sent
      .then(resolve, (error: unknown) => reject(error as Error))
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}
