import { OperationalError, UsageError } from '../errors.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import type { Channel, Consumer as ChannelConsumer, Delivery } from '../transports/transport.ts';
import type { Queue } from './entity.ts';
import type { Link } from './link.ts';

/** A consumer that has not proven for so long that it reads is started anew. */
const STALL_MS = 30_000;
const CHECK_MS = 2_000;

export const STOPPED: Error = new UsageError('the consumer was cancelled');
export const STALLED: Error = new OperationalError(`the consumer has not read for ${STALL_MS / 1000} s`, {
  recoverable: true,
});

export interface SessionOptions {
  readonly deliver: (delivery: Delivery) => void;
  readonly prefetch: () => number;
  /** Whether the broker is told that deliveries of this queue count as acknowledged. */
  readonly noAck: (queue: Queue) => boolean;
}

/** One channel of a consumer, from its beginning to whatever ends it. */
export class Session {
  readonly link: Link;
  readonly ended: Deferred<Error> = deferred();
  readonly #channel: Channel;
  readonly #options: SessionOptions;
  readonly #consumers = new Map<string, ChannelConsumer>();

  private constructor(link: Link, channel: Channel, options: SessionOptions) {
    this.link = link;
    this.#channel = channel;
    this.#options = options;
    void link.connection.closed.then((error) =>
      this.ended.resolve(error ?? new OperationalError('the connection was closed', { recoverable: true })),
    );
  }

  static async open(link: Link, queues: readonly Queue[], options: SessionOptions): Promise<Session> {
    const session = new Session(link, await link.connection.channel(), options);
    try {
      for (const queue of queues) await session.consumeFrom(queue);
      return session;
    } catch (error) {
      await session.close().catch(() => undefined);
      throw error;
    }
  }

  consumesFrom(name: string): boolean {
    return this.#consumers.has(name);
  }

  async consumeFrom(queue: Queue): Promise<void> {
    if (this.#consumers.has(queue.name)) return;
    await this.#channel.declare(queue);
    const consumer = await this.#channel.consume(queue, this.#options.deliver, {
      prefetch: this.#options.prefetch(),
      noAck: this.#options.noAck(queue),
      onCancel: (reason) => this.ended.resolve(new OperationalError(reason.message, { recoverable: true })),
    });
    this.#consumers.set(queue.name, consumer);
  }

  async cancelQueue(name: string): Promise<void> {
    const consumer = this.#consumers.get(name);
    this.#consumers.delete(name);
    await consumer?.cancel();
  }

  async setPrefetch(count: number): Promise<void> {
    await Promise.all([...this.#consumers.values()].map((consumer) => consumer.setPrefetch(count)));
  }

  /** No deliveries after it resolved; those handed over can still be settled. */
  async pause(): Promise<void> {
    const consumers = [...this.#consumers.values()];
    this.#consumers.clear();
    await Promise.all(consumers.map((consumer) => consumer.cancel()));
  }

  /** What is unsettled goes back to its queue. */
  close(): Promise<void> {
    return this.#channel.close();
  }

  /** Resolves to what ended it; a stop that `signal` asks for is `STOPPED`. */
  async untilEnd(clock: Clock, signal: AbortSignal): Promise<Error> {
    const onStop = (): void => this.ended.resolve(STOPPED);
    signal.addEventListener('abort', onStop, { once: true });
    if (signal.aborted) onStop();
    let timer: Timer;
    const check = (): void => {
      const nowMs = clock.monotonic();
      for (const { lastProofMs } of this.#consumers.values()) {
        if (nowMs - lastProofMs > STALL_MS) this.ended.resolve(STALLED);
      }
      timer = clock.setTimer(CHECK_MS, check, { keepAlive: false });
    };
    timer = clock.setTimer(CHECK_MS, check, { keepAlive: false });
    const error = await this.ended.promise;
    timer.cancel();
    signal.removeEventListener('abort', onStop);
    return error;
  }
}
