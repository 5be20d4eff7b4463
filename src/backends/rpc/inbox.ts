import { OperationalError, UsageError } from '../../errors.ts';
import type { Queue } from '../../messaging/entity.ts';
import type { Message } from '../../protocol/message.ts';
import { backoffMs } from '../../runtime/backoff.ts';
import { sleep, withDeadline } from '../../runtime/clock.ts';
import { deferred, type Deferred } from '../../runtime/deferred.ts';
import type { Connection, DriverContext, Transport } from '../../transports/transport.ts';

/*
 * inbox     the reply queue of one app, and the connection that reads it
 * attempt   one try to open it; after a failure or a lost connection there is another one, until `close()`
 */

const CONNECT_TIMEOUT_MS = 10_000;
const DECLARE_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 5_000;
const BACKOFF = { baseMs: 100, capMs: 2_000 } as const;

export interface InboxOptions {
  readonly queue: Queue;
  readonly transport: () => Promise<Transport>;
  /** Never throws. */
  readonly receive: (message: Message) => void;
  readonly context: DriverContext;
}

/**
 * Reads one queue from the first question until `close()`. The queue lives as long as its reader: what is sent to it
 * between a lost connection and the next one is lost, as in Celery.
 */
export class Inbox {
  /** Whether what is sent to the queue arrives. */
  listening = false;
  readonly #options: InboxOptions;
  readonly #stop = new AbortController();
  /** Settles with the present attempt. */
  #attempt: Deferred<void> = unheard();
  /** Resolves as soon as an attempt succeeds; rejects when no other one follows. */
  #open: Deferred<void> = unheard();
  #running: Promise<void> | undefined;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the queue is read; the present attempt, or the next one.
   * @throws {OperationalError} when it failed; others follow in the background unless it is hopeless
   */
  attempt(): Promise<void> {
    this.#start();
    return this.#attempt.promise;
  }

  /** Resolves when the queue is read, however many attempts that takes. @throws when it is hopeless */
  opened(): Promise<void> {
    this.#start();
    return this.#open.promise;
  }

  #start(): void {
    if (this.#running !== undefined || this.#stop.signal.aborted) return;
    this.#renew();
    this.#running = this.#run().finally(() => (this.#running = undefined));
  }

  #renew(): void {
    this.listening = false;
    this.#attempt = unheard();
    this.#open = unheard();
  }

  async #run(): Promise<void> {
    const { context, queue } = this.#options;
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.#read();
        if (signal.aborted) return;
        failures = 0;
        this.#renew();
        context.log.warn({ queue: queue.name }, 'the reply queue was lost, with results sent until it is back');
      } catch (error) {
        if (signal.aborted) return;
        this.#attempt.reject(error);
        if (!(error instanceof OperationalError && error.recoverable)) return this.#open.reject(error);
        this.#attempt = unheard();
        context.log.debug({ error, queue: queue.name }, 'the reply queue could not be opened, trying again');
      }
      const waitMs = backoffMs(Math.min(failures++, 10), BACKOFF, context.random);
      await sleep(context.clock, waitMs, signal).catch(() => {});
    }
  }

  /** One connection from its beginning to its end. */
  async #read(): Promise<void> {
    const { queue, receive } = this.#options;
    const connection = await this.#connect();
    try {
      const cancelled = deferred<void>();
      const consume = async (): Promise<void> => {
        const channel = await connection.channel();
        await channel.declare(queue);
        await channel.consume(queue, (delivery) => receive(delivery.message), {
          prefetch: 0,
          noAck: true,
          onCancel: () => cancelled.resolve(),
        });
      };
      await this.#within(DECLARE_TIMEOUT_MS, 'opening the reply queue', consume());
      if (this.#stop.signal.aborted) return;
      this.listening = true;
      this.#attempt.resolve();
      this.#open.resolve();
      const stopped = new Promise((resolve) => this.#stop.signal.addEventListener('abort', resolve, { once: true }));
      await Promise.race([connection.closed, cancelled.promise, stopped]);
    } finally {
      await this.#discard(connection);
    }
  }

  async #connect(): Promise<Connection> {
    const transport = await this.#options.transport();
    const limit = new AbortController();
    const onStop = (): void => limit.abort(this.#stop.signal.reason);
    this.#stop.signal.addEventListener('abort', onStop, { once: true });
    const connecting = transport.connect({ signal: limit.signal });
    try {
      return await this.#within(CONNECT_TIMEOUT_MS, 'connecting', connecting);
    } catch (error) {
      limit.abort(error);
      connecting.then(
        (late) => this.#discard(late),
        () => {},
      );
      throw error;
    } finally {
      this.#stop.signal.removeEventListener('abort', onStop);
    }
  }

  async #discard(connection: Connection): Promise<void> {
    this.listening = false;
    await withDeadline(this.#options.context.clock, CLOSE_TIMEOUT_MS, connection.close(), () => closed()).catch(
      (error: unknown) => this.#options.context.log.debug({ error }, 'the reply queue was not closed in peace'),
    );
  }

  #within<T>(timeoutMs: number, what: string, work: Promise<T>): Promise<T> {
    const late = (): Error =>
      new OperationalError(`${what} took longer than ${timeoutMs / 1000} s`, { recoverable: true });
    return withDeadline(this.#options.context.clock, timeoutMs, work, late);
  }

  /** Harmless twice, and before anything was asked. */
  async close(): Promise<void> {
    this.#stop.abort(closed());
    this.#attempt.reject(closed());
    this.#open.reject(closed());
    await this.#running;
  }
}

/** A promise whose rejection need not be heard. */
function unheard(): Deferred<void> {
  const one = deferred<void>();
  one.promise.catch(() => {});
  return one;
}

function closed(): UsageError {
  return new UsageError('the app is closed: results cannot be read any more');
}
