import type { Channel as RawChannel, ConsumeMessage } from 'amqplib';
import type { CeleryError } from '../../errors.ts';
import type { AmqpConnection } from './connection.ts';
import { lost, translate } from './errors.ts';
import type { RunNotes } from './run-notes.ts';
import { toTable } from './values.ts';

/** Who reads on an intake. */
export interface Reader {
  receive(message: ConsumeMessage): void;
  /** The broker ended it. */
  cancelled(reason: CeleryError): void;
}

/**
 * A channel of the client library that deliveries come through, and what came through and is not settled yet.
 * Acknowledgements of one turn of the event loop leave together, as one where the tags allow it.
 */
export class Intake {
  alive = true;
  readonly #connection: AmqpConnection;
  readonly #raw: RawChannel;
  readonly #readers = new Map<string, Reader>();
  /** Tags that are not settled, in ascending order, as the broker hands them out. */
  readonly #outstanding = new Set<number>();
  readonly #acked = new Set<number>();
  #scheduled = false;
  /** Why it ended. */
  #reason: CeleryError | undefined;

  constructor(connection: AmqpConnection, raw: RawChannel) {
    this.#connection = connection;
    this.#raw = raw;
    raw.on('error', (error) => (this.#reason ??= translate(error, 'the broker closed the channel of a consumer')));
    raw.on('close', () => this.end(this.#reason ?? connection.ended ?? lost('the channel was closed')));
  }

  static async open(connection: AmqpConnection): Promise<Intake> {
    return new Intake(connection, await connection.openRaw());
  }

  /** `shared`: one window for all consumers of this channel; else for each that begins from now on. */
  async limit(count: number, shared: boolean): Promise<void> {
    // The field has 16 bits; kombu too asks for no limit then.
    const prefetch = count > 65_535 ? 0 : count;
    await this.#connection.answer('setting the prefetch count', () => this.#raw.prefetch(prefetch, shared));
  }

  async subscribe(
    queue: string,
    tag: string,
    reader: Reader,
    options: { readonly noAck: boolean; readonly arguments?: Readonly<Record<string, unknown>> | undefined },
  ): Promise<void> {
    this.#readers.set(tag, reader);
    const onMessage = (message: ConsumeMessage | null): void => {
      if (message === null) {
        this.#readers.delete(tag);
        reader.cancelled(lost(`the broker ended the consumer of queue "${queue}": it was deleted or its node is gone`));
        return;
      }
      // Closing: it goes back with everything else that is unsettled.
      if (!this.alive) return;
      if (!options.noAck) this.#outstanding.add(message.fields.deliveryTag);
      reader.receive(message);
    };
    try {
      await this.#connection.answer(`consuming from the queue "${queue}"`, () =>
        this.#raw.consume(queue, onMessage, {
          consumerTag: tag,
          noAck: options.noAck,
          arguments: toTable(options.arguments ?? {}, 'consumerArguments'),
        }),
      );
    } catch (error) {
      this.#readers.delete(tag);
      throw error;
    }
  }

  async unsubscribe(tag: string): Promise<void> {
    this.#readers.delete(tag);
    if (this.alive) await this.#connection.answer('cancelling a consumer', () => this.#raw.cancel(tag));
  }

  get notes(): RunNotes {
    return this.#connection.notes;
  }

  /** One message without a consumer. */
  async get(queue: string) {
    const message = await this.#connection.answer(`reading the queue "${queue}"`, () => this.#raw.get(queue));
    if (message === false) return undefined;
    this.#outstanding.add(message.fields.deliveryTag);
    return message;
  }

  ack(tag: number): Promise<void> {
    if (!this.alive) return this.#refuse();
    this.#acked.add(tag);
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.flush);
    }
    return Promise.resolve();
  }

  reject(tag: number, requeue: boolean): Promise<void> {
    if (!this.alive) return this.#refuse();
    this.#outstanding.delete(tag);
    this.#raw.reject({ fields: { deliveryTag: tag } } as ConsumeMessage, requeue);
    return Promise.resolve();
  }

  /** Sends the acknowledgements that wait. Never throws. */
  readonly flush = (): void => {
    this.#scheduled = false;
    if (!this.alive || this.#acked.size === 0) return;
    let upTo = 0;
    for (const tag of this.#outstanding) {
      if (!this.#acked.delete(tag)) break;
      this.#outstanding.delete(tag);
      upTo = tag;
    }
    if (upTo !== 0) this.#raw.ack({ fields: { deliveryTag: upTo } } as ConsumeMessage, true);
    for (const tag of this.#acked) {
      this.#outstanding.delete(tag);
      this.#raw.ack({ fields: { deliveryTag: tag } } as ConsumeMessage);
    }
    this.#acked.clear();
  };

  #refuse(): Promise<never> {
    return Promise.reject(this.#reason ?? lost('the channel that brought the message is gone: it will come again'));
  }

  /**
   * What is unsettled goes back to its queue. Harmless twice.
   *
   * Consumers are cancelled first: a channel that closes forgets acknowledgements that its quorum queues have not
   * taken yet, and cancelling waits for those before it.
   */
  async close(): Promise<void> {
    if (!this.alive) return;
    this.flush();
    const tags = [...this.#readers.keys()];
    this.#readers.clear();
    this.alive = false;
    await this.#connection.answer('closing a channel', async () => {
      for (const tag of tags) await this.#raw.cancel(tag);
      await this.#raw.close();
    });
  }

  /** The channel has ended by itself. */
  end(reason: CeleryError): void {
    if (!this.alive) return;
    this.alive = false;
    this.#reason = reason;
    const readers = [...this.#readers.values()];
    this.#readers.clear();
    for (const reader of readers) reader.cancelled(reason);
  }
}
