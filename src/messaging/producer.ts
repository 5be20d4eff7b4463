import { setMaxListeners } from 'node:events';
import { ChannelError, OperationalError, UsageError } from '../errors.ts';
import type { Message } from '../protocol/message.ts';
import { sleep } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Destination, PublishOptions } from '../transports/transport.ts';
import { Deadlines, type Due } from './deadlines.ts';
import type { Entity } from './entity.ts';
import { Links, type Link, type LinksOptions } from './link.ts';

/*
 * attempt   one try to hand a message to the broker; a publish makes several while the broker is out of reach
 */

/** How publishing is tried again; in milliseconds. */
export interface PublishRetry {
  /** Tries after the first; null: until the deadline. 0: the first failure is final. */
  readonly maxRetries: number | null;
  readonly intervalStartMs: number;
  readonly intervalStepMs: number;
  readonly intervalMaxMs: number;
}

/** Celery's default (`task_publish_retry_policy`): waits of 0, 0.2 and 0.4 s. */
export const DEFAULT_PUBLISH_RETRY: PublishRetry = {
  maxRetries: 3,
  intervalStartMs: 0,
  intervalStepMs: 200,
  intervalMaxMs: 1000,
};

export interface ProducerOptions extends LinksOptions {
  /** The connection is closed whenever nothing is on its way. @default false */
  readonly closesIdle?: boolean;
  readonly log: Logger;
}

export interface ProducerPublish extends PublishOptions {
  /** Declared before the first message on each connection; in this order. */
  readonly declares?: readonly Entity[] | undefined;
  /** Has to be ready before the message leaves; part of each try. */
  readonly prepare?: (() => true | Promise<void>) | undefined;
  /** All tries together; never Infinity. */
  readonly timeoutMs: number;
  readonly retry?: PublishRetry | undefined;
}

/** Messages on their way at a time; beyond it publishing fails at once instead of filling the memory. */
const MOST_PENDING = 100_000;

/** How long `close()` waits for the broker's answers. */
const CLOSE_GRACE_MS = 1000;

/**
 * Publishes for one app over one connection, which is made by the first publish and again by the first one after
 * it was lost. Concurrent publishes share it. Every publish ends by its deadline.
 */
export class Producer {
  readonly #options: ProducerOptions;
  readonly #deadlines: Deadlines<Attempt>;
  readonly #links: Links;
  readonly #closing = new AbortController();
  #closed = false;
  #onIdle: (() => void) | undefined;

  constructor(options: ProducerOptions) {
    this.#options = options;
    this.#deadlines = new Deadlines<Attempt>(options.clock);
    this.#links = new Links(options);
    // Every publish that waits for its next try listens, and stops listening: many at a time are no leak.
    setMaxListeners(0, this.#closing.signal);
  }

  /**
   * Resolves when the broker owns the message.
   * @throws {OperationalError} code `ERR_PUBLISH_TIMEOUT` after the deadline, `ERR_PUBLISH_OVERFLOW` with too many
   *   on their way, else the last failure to reach the broker
   */
  publish(message: Message, to: Destination, options: ProducerPublish): Promise<void> {
    if (this.#closed) return Promise.reject(new UsageError('the app is closed: it publishes nothing any more'));
    if (options.signal?.aborted) return Promise.reject(options.signal.reason as Error);
    if (this.#deadlines.size >= MOST_PENDING) {
      return Promise.reject(
        new OperationalError(`${MOST_PENDING} messages are waiting for the broker already: await earlier publishes`, {
          recoverable: true,
          code: 'ERR_PUBLISH_OVERFLOW',
        }),
      );
    }
    const { timeoutMs } = options;
    const attempt = new Attempt(this.#options.clock.monotonic() + timeoutMs, timeoutMs, this);
    this.#deadlines.add(attempt);
    const link = this.#links.current;
    if (link === undefined || !isDeclared(link, options.declares) || !isPrepared(options)) {
      this.#follow(this.#run(message, to, options, attempt), attempt);
      return attempt.promise;
    }
    // The way of nearly all messages: over a link that is there, to a queue that is declared.
    attempt.link = link;
    const failed = (error: unknown): void => {
      this.#follow(this.#run(message, to, options, attempt, { error, link }), attempt);
    };
    try {
      link.channel.publish(message, to, options).then(() => this.#finish(attempt), failed);
    } catch (error) {
      failed(error);
    }
    return attempt.promise;
  }

  #follow(sending: Promise<void>, attempt: Attempt): void {
    sending.then(
      () => this.#finish(attempt),
      (error: unknown) => {
        attempt.reject(error as Error);
        this.#finish(attempt);
      },
    );
  }

  /** Called for a publish that the broker did not answer in time: such a connection is not trusted any more. */
  suspect(link: Link): void {
    this.#links.drop(link);
  }

  /** @param failed a first try that did not succeed */
  async #run(
    message: Message,
    to: Destination,
    options: ProducerPublish,
    attempt: Attempt,
    failed?: { readonly error: unknown; readonly link: Link },
  ): Promise<void> {
    if (failed !== undefined) await this.#recover(failed.error, failed.link, options, attempt, 0);
    for (let failures = failed === undefined ? 0 : 1; ; failures++) {
      let link: Link | undefined;
      try {
        if (options.prepare !== undefined) {
          const pending = options.prepare();
          if (pending !== true) await pending;
        }
        link = this.#links.current ?? (await this.#links.open());
        attempt.link = link;
        const { declares } = options;
        if (declares !== undefined) {
          for (const entity of declares) {
            const pending = this.#links.declare(link, entity);
            if (pending !== true) await pending;
          }
        }
        if (attempt.expired) return;
        return await link.channel.publish(message, to, options);
      } catch (error) {
        await this.#recover(error, link, options, attempt, failures);
      }
    }
  }

  /** Waits for the next try. @throws the error when there is none */
  async #recover(
    error: unknown,
    link: Link | undefined,
    options: ProducerPublish,
    attempt: Attempt,
    failures: number,
  ): Promise<void> {
    const retry = options.retry ?? DEFAULT_PUBLISH_RETRY;
    attempt.link = undefined;
    if (attempt.expired || options.signal?.aborted || this.#closed) throw error;
    if (isVanished(error) && failures === 0 && options.declares?.length && link !== undefined) {
      // It was declared on this connection and deleted since: the next one declares it again.
      this.#links.drop(link);
      return;
    }
    if (!(error instanceof OperationalError) || !error.recoverable) throw error;
    // A broker that answers no has a link that works, with other messages on it.
    if (link !== undefined && error.code !== 'ERR_NACK') this.#links.drop(link);
    if (retry.maxRetries !== null && failures >= retry.maxRetries) throw error;
    const { intervalStartMs, intervalStepMs, intervalMaxMs } = retry;
    const waitMs = Math.min(intervalMaxMs, intervalStartMs + intervalStepMs * failures);
    this.#options.log.debug({ error, waitMs, failures: failures + 1 }, 'publishing failed, trying again');
    await sleep(this.#options.clock, waitMs, options.signal ?? this.#closing.signal);
    if (attempt.expired) throw error;
  }

  /**
   * Messages that the broker has are waited for, for a short while; all others fail. Then the connection is closed.
   * Harmless twice.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#links.current !== undefined && this.#deadlines.size > 0) await this.#idle();
    const reason = new UsageError('the app was closed while publishing');
    this.#closing.abort(reason);
    for (const due of this.#deadlines.drain()) due.end(reason);
    await this.#links.close(reason);
  }

  /** Until nothing is on its way, or the grace is over. */
  #idle(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.setTimer(CLOSE_GRACE_MS, resolve);
      this.#onIdle = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #finish(attempt: Attempt): void {
    this.#deadlines.remove(attempt);
    attempt.resolve();
    if (this.#deadlines.size === 0) this.#rest();
  }

  /** Nothing is on its way. */
  #rest(): void {
    this.#onIdle?.();
    const { current } = this.#links;
    if (this.#options.closesIdle === true && current !== undefined) this.#links.drop(current);
  }
}

class Attempt implements Due {
  readonly dueMs: number;
  expired = false;
  link: Link | undefined;
  /** What the caller awaits. */
  readonly promise: Promise<void>;
  resolve!: () => void;
  reject!: (error: Error) => void;
  readonly #timeoutMs: number;
  readonly #producer: Producer;

  constructor(dueMs: number, timeoutMs: number, producer: Producer) {
    this.dueMs = dueMs;
    this.#timeoutMs = timeoutMs;
    this.#producer = producer;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** The caller is told; what the attempt still does has no reader. */
  end(error: Error): void {
    this.expired = true;
    this.reject(error);
  }

  expire(): void {
    this.end(
      new OperationalError(
        `the broker did not take the message within ${this.#timeoutMs} ms; it may still arrive if it was sent`,
        { recoverable: true, code: 'ERR_PUBLISH_TIMEOUT' },
      ),
    );
    if (this.link !== undefined) this.#producer.suspect(this.link);
  }
}

function isVanished(error: unknown): boolean {
  return error instanceof ChannelError && error.code === 'ERR_EXCHANGE_MISSING';
}

function isDeclared(link: Link, declares: readonly Entity[] | undefined): boolean {
  if (declares !== undefined) for (const entity of declares) if (!link.known.has(entity)) return false;
  return true;
}

function isPrepared({ prepare }: ProducerPublish): boolean {
  if (prepare === undefined) return true;
  const pending = prepare();
  if (pending === true) return true;
  pending.catch(() => {}); // asked again, and awaited, by whoever sends
  return false;
}
