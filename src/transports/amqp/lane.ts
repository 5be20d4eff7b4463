import type { Channel as RawChannel } from 'amqplib';
import type { AmqpConnection } from './connection.ts';

/**
 * A channel for questions, one at a time. The broker refuses a question by closing its channel: so none is asked
 * where it could take consumers or other questions with it, and the next one opens a new channel.
 */
export class Lane {
  readonly #connection: AmqpConnection;
  #raw: RawChannel | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(connection: AmqpConnection) {
    this.#connection = connection;
  }

  /** @throws {ChannelError} when the broker refuses */
  ask<T>(what: string, question: (raw: RawChannel) => Promise<T>): Promise<T> {
    const turn = this.#tail.then(() => this.#ask(what, question));
    this.#tail = turn.catch(() => {});
    return turn;
  }

  async #ask<T>(what: string, question: (raw: RawChannel) => Promise<T>): Promise<T> {
    const raw = this.#raw ?? (await this.#open());
    return this.#connection.answer(what, () => question(raw));
  }

  async #open(): Promise<RawChannel> {
    const raw = await this.#connection.openRaw();
    this.#raw = raw;
    // The question itself tells its caller.
    raw.on('error', () => {});
    raw.on('close', () => {
      if (this.#raw === raw) this.#raw = undefined;
    });
    return raw;
  }
}
