import type { Channel as RawChannel, ConfirmChannel, Message as RawMessage, Options } from 'amqplib';
import { ChannelError, OperationalError, UsageError } from '../../errors.ts';
import type { Message } from '../../protocol/message.ts';
import type { Destination, PublishOptions } from '../transport.ts';
import type { AmqpConnection } from './connection.ts';
import { lost, replyCode, replyText, translate } from './errors.ts';
import { toTable } from './values.ts';

/** A publish whose message must reach a queue. */
interface Mandatory {
  readonly to: Destination;
  readonly correlationId: string | undefined;
  returned: string | undefined;
}

/** How often a message is sent again because the broker closed the channel over another one. */
const MOST_REPEATS = 5;
const MISSING = 404;

/**
 * Publishes over a channel of its own, with confirms, as many at a time as there are. The broker refuses a message by
 * closing the channel, with all that was on its way: that one fails, the others are sent again over the next channel.
 */
export class Publisher {
  readonly #connection: AmqpConnection;
  #raw: ConfirmChannel | undefined;
  #opening: Promise<ConfirmChannel> | undefined;
  /** Why the channel is about to close, and whether it can have been one message alone. */
  #reason: unknown;
  #alone = false;
  /** Messages that the broker has not answered. */
  #onWay = 0;
  #onIdle: (() => void) | undefined;
  #closed = false;
  readonly #mandatory = new Set<Mandatory>();

  constructor(connection: AmqpConnection) {
    this.#connection = connection;
  }

  /** @throws {OperationalError} when the broker lost it; {ChannelError} when it refused it or it reached no queue */
  publish(message: Message, to: Destination, options: PublishOptions | undefined): Promise<void> {
    const { ended } = this.#connection;
    if (ended) return Promise.reject(ended);
    if (this.#closed) return Promise.reject(new UsageError('the AMQP channel is closed'));
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
      this.#alone = this.#onWay === 1;
      if (!confirms) this.#connection.context.log.error({ error }, 'the broker refused a message that was published');
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

  #send(
    raw: ConfirmChannel,
    message: Message,
    to: Destination,
    options: PublishOptions | undefined,
    repeats = 0,
  ): Promise<void> {
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
      this.#onWay++;
      const settle = (error: unknown): void => {
        if (--this.#onWay === 0) this.#onIdle?.();
        if (mandatory) this.#mandatory.delete(mandatory);
        if (error) {
          if (this.#isBystander(error, message, to) && repeats < MOST_REPEATS && options?.signal?.aborted !== true) {
            resolve(this.#open().then((other) => this.#send(other, message, to, options, repeats + 1)));
          } else reject(this.#failure(error, message, to));
        } else if (mandatory?.returned !== undefined) reject(unroutable(mandatory));
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

  /** The broker closed the channel over another message. */
  #isBystander(error: unknown, message: Message, to: Destination): boolean {
    if (this.#reason === undefined || this.#alone || this.#connection.ended || !isClosed(error)) return false;
    return !isAbout(replyText(this.#reason), message, to);
  }

  #failure(error: unknown, message: Message, to: Destination): Error {
    const { exchange, routingKey } = to;
    const what = `publishing to ${exchange === '' ? `the queue "${routingKey}"` : `the exchange "${exchange}"`}`;
    if (error instanceof Error && error.message === 'message nacked') {
      // The link is as good as before: others are on their way over it.
      return new OperationalError(`${what}: the broker could not take the message`, {
        recoverable: true,
        code: 'ERR_NACK',
      });
    }
    if (!isClosed(error)) return translate(error, what);
    if (this.#connection.ended) return this.#connection.ended;
    const reason = this.#reason;
    if (reason === undefined) return lost(`${what}: the channel was closed`);
    const text = replyText(reason);
    if (!this.#alone && !isAbout(text, message, to)) {
      return new OperationalError(`${what}: ${text}`, { recoverable: true, cause: reason });
    }
    if (replyCode(reason) !== MISSING) return translate(reason, what);
    return new ChannelError(`${what}: ${text}. Declare it first`, { code: 'ERR_EXCHANGE_MISSING', cause: reason });
  }

  /** Waits for the broker's answers, then closes the channel. Harmless twice. */
  async close(): Promise<void> {
    this.#closed = true;
    const raw = this.#raw ?? (await this.#opening?.catch(() => undefined));
    this.#raw = undefined;
    if (raw === undefined || this.#connection.ended) return;
    await this.#connection.answer('closing a channel', async () => {
      if (this.#onWay > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
      await raw.close();
    });
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof Error && /^channel closed$|Illegal|channel (?:closed|closing)/i.test(error.message);
}

/** Whether the broker's complaint is about this message: it names the property that it dislikes. */
function isAbout(text: string, { body, properties }: Message, { exchange }: Destination): boolean {
  const { userId, expiration } = properties;
  return (
    text.includes(`exchange '${exchange}' in vhost`) ||
    (userId !== undefined && text.includes(`user_id property set to '${userId}'`)) ||
    (expiration !== undefined && text.includes(`expiration '${expiration}'`)) ||
    text.includes(`message size ${body.length} `)
  );
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
