import { OperationalError } from '../errors.ts';
import type { Queue } from '../messaging/entity.ts';
import { replyQueue } from '../messaging/pidbox.ts';
import { decodeControlReplies, type ControlReply } from '../protocol/control.ts';
import { withDeadline } from '../runtime/clock.ts';
import type { Channel, Connection, Delivery } from '../transports/transport.ts';
import type { Celery } from './celery.ts';

/*
 * mailbox  the queue on which this app collects the workers' answers; open while somebody waits
 * ticket   names the question an answer belongs to
 */

/** Somebody who waits for the answers to one question. */
export interface Waiter {
  reply(reply: ControlReply): void;
  /** The connection broke: no more answers will come. */
  lost(error: Error): void;
}

interface Open {
  readonly connection: Connection;
  readonly channel: Channel;
}

/**
 * One reply queue per app, shared by all who ask at the same time; answers are told apart by their ticket.
 * It is opened by the first who waits and deleted after the last, so that an idle app leaves nothing in the broker.
 */
export class ReplyMailbox {
  readonly #app: Celery;
  readonly #waiters = new Map<string, Waiter>();
  #users = 0;
  #open: Promise<Open> | undefined;
  /** Counts openings: the end of an earlier connection must not be taken for the end of this one. */
  #opening = 0;
  /** The end of the previous mailbox: the next one has the same queue name and must not lose its queue to it. */
  #closing: Promise<void> = Promise.resolve();

  constructor(app: Celery) {
    this.#app = app;
  }

  /**
   * Resolves when answers to `ticket` will arrive. Every call is paired with one of `release`, even when it failed.
   * @throws {OperationalError} when the broker is out of reach
   */
  async listen(ticket: string, waiter: Waiter): Promise<void> {
    this.#users++;
    this.#waiters.set(ticket, waiter);
    this.#open ??= this.#start(++this.#opening);
    await this.#open;
  }

  /** Resolves when the queue is gone, if this was the last who waited. Never rejects. */
  async release(ticket: string): Promise<void> {
    this.#waiters.delete(ticket);
    this.#users--;
    if (this.#users > 0) return;
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) this.#closing = this.#stop(open);
    await this.#closing;
  }

  async #start(number: number): Promise<Open> {
    await this.#closing;
    const { conf, clock, oid } = this.#app;
    const timeoutMs = conf.brokerConnectionTimeout * 1000;
    const stop = new AbortController();
    const opening = this.#connect(stop.signal, number, replyQueue(oid, conf.controlExchange, conf));
    try {
      return await withDeadline(
        clock,
        timeoutMs,
        opening,
        () =>
          new OperationalError(`the broker did not answer within ${timeoutMs / 1000} s (brokerConnectionTimeout)`, {
            recoverable: true,
          }),
      );
    } catch (error) {
      stop.abort(error);
      // A connection that comes after all must not stay open.
      opening.then(
        ({ connection }) => connection.close(),
        () => {},
      );
      throw error;
    }
  }

  async #connect(signal: AbortSignal, number: number, queue: Queue): Promise<Open> {
    const transport = await this.#app.transport();
    const connection = await transport.connect({ signal });
    try {
      const channel = await connection.channel();
      await channel.declare(queue);
      await channel.consume(queue, (delivery) => this.#receive(delivery), { prefetch: 0, noAck: true });
      void connection.closed.then((error) => this.#lost(number, error));
      return { connection, channel };
    } catch (error) {
      await connection.close().catch(() => {});
      throw error;
    }
  }

  async #stop(opening: Promise<Open>): Promise<void> {
    try {
      const { connection, channel } = await opening;
      const { conf, clock, oid } = this.#app;
      const cleanUp = channel
        .deleteQueue(replyQueue(oid, conf.controlExchange, conf).name)
        .catch((error: unknown) => this.#app.log.debug({ error }, 'the reply queue was left to expire'))
        .then(() => connection.close());
      await withDeadline(clock, conf.brokerConnectionTimeout * 1000, cleanUp, () => new Error('no answer'));
    } catch (error) {
      this.#app.log.debug({ error }, 'closing the reply mailbox failed');
    }
  }

  #lost(number: number, error: Error | undefined): void {
    if (number !== this.#opening || this.#open === undefined) return;
    this.#open = undefined;
    const reason = error ?? new OperationalError('the connection for replies was closed', { recoverable: true });
    for (const waiter of this.#waiters.values()) waiter.lost(reason);
  }

  #receive(delivery: Delivery): void {
    const { serializers, conf, lamport, clock, log } = this.#app;
    let replies: readonly ControlReply[];
    try {
      replies = decodeControlReplies(delivery.message, serializers, serializers.acceptSet(conf.acceptContent));
    } catch (error) {
      log.warn({ error }, 'a reply to remote control could not be read and was dropped');
      return;
    }
    for (const reply of replies) {
      lamport.adjust(reply.clock);
      if (reply.expires !== undefined && reply.expires > 0 && reply.expires * 1000 < clock.now()) continue;
      if (reply.ticket !== undefined) this.#waiters.get(reply.ticket)?.reply(reply);
    }
  }
}
