import { OperationalError, UsageError } from '../errors.ts';
import { sleep, withDeadline } from '../runtime/clock.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { Delivery } from '../transports/transport.ts';
import type { Connection } from './connection.ts';
import type { Queue } from './entity.ts';
import { Inbox } from './inbox.ts';
import { unlessAborted } from './link.ts';
import { Message } from './message.ts';
import { acceptedTypes, decodePayload, type Accept } from './payload.ts';
import { Session, STALLED, STOPPED } from './session.ts';

type Handled = void | Promise<void>;

export interface ConsumerOptions<T = unknown> {
  /** Called for each message, also while earlier calls still run. Without it the consumer is iterated. */
  readonly onMessage?: ((message: Message<T>) => Handled) | undefined;
  /** Called one after the other with the decoded body; the same messages as `onMessage`. */
  readonly callbacks?: readonly ((body: T, message: Message<T>) => Handled)[] | undefined;
  /** Names of serializers and MIME types. @default JSON, and texts and bytes as they are */
  readonly accept?: readonly string[] | undefined;
  /** Messages count as acknowledged when they are handed over. @default false */
  readonly noAck?: boolean | undefined;
  /** Most unsettled messages for each queue; 0: without limit. @default 100 */
  readonly prefetchCount?: number | undefined;
  /** How long `cancel()` waits for handlers that have not settled their message. @default '30s' */
  readonly drainTimeout?: Duration | undefined;
  /** A body that cannot be read. @default logged, and rejected without coming back */
  readonly onDecodeError?: ((message: Message<undefined>, error: Error) => void) | undefined;
  /** `onMessage` or a callback threw. @default the consumer ends with the error, its messages go back */
  readonly onError?: ((error: unknown, message: Message<T>) => void) | undefined;
  /** The broker is out of reach; the next try comes after `waitMs`. */
  readonly onConnectionError?: ((error: Error, waitMs: number) => void) | undefined;
  /** It consumes again. */
  readonly onConnectionRevived?: (() => void) | undefined;
}

const DEFAULT_PREFETCH = 100;
const STEP_TIMEOUT_MS = 30_000;
/** A session that lasted this long was none of a row of failures. */
const GOOD_MS = 30_000;
const WAIT_STEP_MS = 1_000;
const WAIT_MAX_MS = 10_000;

/**
 * Receives from queues, and goes on when the connection is lost. Source: `kombu.Consumer` and, for what happens around
 * it, `kombu.mixins.ConsumerMixin`.
 *
 * @example
 * for await (const message of connection.consumer(queue('orders'))) {
 *   console.log(message.payload);
 *   await message.ack();
 * }
 */
export class Consumer<T = unknown> implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #options: ConsumerOptions<T>;
  readonly #accept: Accept;
  readonly #queues = new Map<string, Queue>();
  readonly #inbox: Inbox<Message<T>> | undefined;
  readonly #ready: Deferred<void> = deferred();
  readonly #stop = new AbortController();
  readonly #onEnd: () => void;
  /** Messages whose handlers run. */
  readonly #handled = new Set<Message<T>>();
  #onDrained: (() => void) | undefined;
  #drainMs = STEP_TIMEOUT_MS;
  #prefetch: number;
  #flowing = true;
  #session: Session | undefined;
  #running: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(connection: Connection, queues: readonly Queue[], options: ConsumerOptions<T>, onEnd: () => void) {
    this.#connection = connection;
    this.#options = options;
    this.#onEnd = onEnd;
    this.#accept = acceptedTypes(options.accept, connection.serializers);
    this.#prefetch = options.prefetchCount ?? DEFAULT_PREFETCH;
    for (const queue of queues) this.#queues.set(queue.name, queue);
    const handled = options.onMessage !== undefined || (options.callbacks?.length ?? 0) > 0;
    this.#inbox = handled ? undefined : new Inbox(connection.clock);
    this.#ready.promise.catch(() => undefined);
  }

  get queues(): readonly Queue[] {
    return [...this.#queues.values()];
  }

  /** Whether it receives from this queue right now. */
  consumingFrom(queue: string | Queue): boolean {
    return this.#session?.consumesFrom(typeof queue === 'string' ? queue : queue.name) ?? false;
  }

  /**
   * Begins; resolves when messages can arrive. Harmless twice.
   * @param options.timeout longest wait for the broker; the consumer ends then. @default '30s'
   * @throws {OperationalError} when the broker is out of reach for that long, {ChannelError} for queues that cannot be declared
   */
  async consume(options: { readonly timeout?: Duration | undefined } = {}): Promise<void> {
    if (this.#stop.signal.aborted) throw this.#failure ?? new UsageError('the consumer was cancelled: make another');
    this.#running ??= this.#run();
    const timeoutMs = durationMs(options.timeout ?? STEP_TIMEOUT_MS);
    try {
      await withDeadline(
        this.#connection.clock,
        timeoutMs,
        this.#ready.promise,
        () => new OperationalError(`nothing to consume from within ${timeoutMs} ms`, { recoverable: true }),
      );
    } catch (error) {
      await this.cancel();
      throw error;
    }
  }

  /**
   * Consumes until `signal` aborts or `cancel()` is called.
   * @throws what a handler threw where there is no `onError`, and what `consume` throws
   */
  async run(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { signal } = options;
    const onAbort = (): void => void this.cancel();
    if (signal?.aborted) return this.cancel();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await this.consume();
      await this.#running;
    } catch (error) {
      if (error !== STOPPED) throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
    if (this.#failure) throw this.#failure;
  }

  /**
   * Messages as they come, until the consumer is cancelled; not acknowledged for the reader, except with `noAck`.
   * A reader that leaves its loop ends the consumer.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message<T>, void, undefined> {
    try {
      yield* this.drain();
    } finally {
      await this.cancel();
    }
  }

  /**
   * The same up to `limit` messages, or until none came for `timeout`; the consumer stays.
   * Source: `drain_consumer` of kombu.common.
   */
  async *drain(
    options: { readonly limit?: number | undefined; readonly timeout?: Duration | undefined } = {},
  ): AsyncGenerator<Message<T>, void, undefined> {
    const { limit = Infinity, timeout } = options;
    for (let count = 0; count < limit; count++) {
      const message = await this.next(timeout);
      if (message === undefined) return;
      yield message;
    }
  }

  /** The next message; undefined when none came in time, or the consumer has ended. */
  async next(timeout?: Duration): Promise<Message<T> | undefined> {
    const inbox = this.#inbox;
    if (!inbox) throw new UsageError('this consumer hands its messages to callbacks: it cannot be iterated');
    if (this.#session === undefined && !this.#stop.signal.aborted) await this.consume().catch(unlessStopped);
    const message = await inbox.take(timeout === undefined ? undefined : durationMs(timeout));
    if (message === undefined && this.#failure) throw this.#failure;
    return message;
  }

  /** Messages that wait for a reader. */
  get buffered(): number {
    return this.#inbox?.size ?? 0;
  }

  /** The next message if one is here already. */
  takeNow(): Message<T> | undefined {
    return this.#inbox?.shift();
  }

  /** Also receives from this queue from now on. */
  async addQueue(queue: Queue): Promise<void> {
    this.#queues.set(queue.name, queue);
    if (this.#flowing) await this.#session?.consumeFrom(queue);
  }

  /** Does not receive from this queue any more; what it delivered stays valid. */
  async cancelByQueue(name: string): Promise<void> {
    this.#queues.delete(name);
    await this.#session?.cancelQueue(name);
  }

  /** Changes how many unsettled messages it may hold. */
  async qos(options: { readonly prefetchCount: number }): Promise<void> {
    this.#prefetch = options.prefetchCount;
    await this.#session?.setPrefetch(this.#prefetch);
  }

  get prefetchCount(): number {
    return this.#prefetch;
  }

  /** `false` pauses deliveries, `true` goes on with them. */
  async flow(active: boolean): Promise<void> {
    if (this.#flowing === active) return;
    this.#flowing = active;
    if (!active) return this.#session?.pause();
    for (const queue of this.queues) await this.#session?.consumeFrom(queue);
  }

  /** Drops what is ready in its queues; resolves to how many. */
  async purge(): Promise<number> {
    const counts = await Promise.all(this.queues.map((queue) => this.#connection.purge(queue)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /**
   * Ends it: no deliveries any more, handlers that run may settle their messages within `drainTimeout`, what is
   * unsettled then goes back to the queues. Harmless twice.
   */
  async cancel(options: { readonly drainTimeout?: Duration | undefined } = {}): Promise<void> {
    const drainTimeout = options.drainTimeout ?? this.#options.drainTimeout;
    if (drainTimeout !== undefined) this.#drainMs = durationMs(drainTimeout);
    this.#stop.abort(STOPPED);
    await this.#running;
    this.#ready.reject(this.#failure ?? STOPPED);
    this.#inbox?.close();
    this.#onEnd();
  }

  /** kombu's name of `cancel`. */
  close(): Promise<void> {
    return this.cancel();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.cancel();
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#connection;
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      const startedMs = clock.monotonic();
      const error = await this.#consumeOnce(failures);
      if (error === undefined || signal.aborted) break;
      if (!(error instanceof OperationalError) || !error.recoverable) {
        this.#fail(error);
        break;
      }
      if (clock.monotonic() - startedMs > GOOD_MS) failures = 0;
      const waitMs = Math.min(WAIT_MAX_MS, WAIT_STEP_MS * failures);
      failures++;
      this.#options.onConnectionError?.(error, waitMs);
      log.warn({ error, waitMs, failures }, 'the consumer lost its broker: trying again');
      await sleep(clock, waitMs, signal).catch(() => undefined);
    }
    this.#inbox?.close();
  }

  /** One channel from its beginning to its end; resolves to what ended it, undefined for a stop. */
  async #consumeOnce(failures: number): Promise<Error | undefined> {
    let session: Session | undefined;
    try {
      const { signal } = this.#stop;
      const link = await unlessAborted(this.#connection.open(), signal, () => undefined);
      const opening = Session.open(link, this.#flowing ? this.queues : [], {
        deliver: (delivery) => void this.#receive(delivery),
        prefetch: () => this.#prefetch,
        // A reader takes messages one by one: handed over is then what it took, so that not all of the queue comes here.
        noAck: (queue) => this.#inbox === undefined && this.#noAck(queue),
      });
      session = await this.#within('beginning to consume', opening);
      this.#session = session;
      this.#ready.resolve();
      if (failures > 0) this.#options.onConnectionRevived?.();
      const error = await session.untilEnd(this.#connection.clock, signal);
      if (error === STALLED) this.#connection.drop(link);
      return error === STOPPED ? undefined : error;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    } finally {
      this.#session = undefined;
      if (session) await this.#leave(session);
    }
  }

  /** No deliveries any more, and what nobody has taken or settled goes back. */
  async #leave(session: Session): Promise<void> {
    const quietly = (what: string, work: Promise<void>): Promise<void> =>
      this.#within(what, work).catch((error: unknown) => {
        this.#connection.log.debug({ error }, 'the channel of a consumer did not close cleanly');
      });
    const stopping = this.#stop.signal.aborted && this.#failure === undefined;
    if (stopping) await quietly('cancelling', session.pause());
    for (const message of this.#inbox?.clear() ?? []) message.requeue().catch(() => undefined);
    if (stopping) await this.#drained();
    await quietly('closing the channel', session.close());
  }

  /** Until no handler has an unsettled message, or the time is over. */
  #drained(): Promise<void> {
    if (this.#handled.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#connection.clock.setTimer(this.#drainMs, resolve);
      this.#onDrained = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #over(message: Message<T>): void {
    this.#handled.delete(message);
    if (this.#handled.size === 0) this.#onDrained?.();
  }

  #noAck(queue: Queue | undefined): boolean {
    return this.#options.noAck ?? queue?.noAck ?? false;
  }

  async #receive(delivery: Delivery): Promise<void> {
    const queue = this.#queues.get(delivery.queue);
    const noAck = this.#noAck(queue);
    const settled = noAck && this.#inbox === undefined;
    let payload: T;
    try {
      const decoded = decodePayload(delivery.message, this.#accept, this.#connection.serializers);
      payload = (decoded instanceof Promise ? await decoded : decoded) as T;
    } catch (error) {
      this.#undecodable(new Message<undefined>(delivery, undefined, settled), error as Error);
      return;
    }
    const message: Message<T> = new Message(delivery, payload, settled, () => this.#over(message));
    if (this.#inbox !== undefined) {
      this.#inbox.push(message, noAck ? () => void message.ack().catch(() => undefined) : undefined);
      return;
    }
    if (!settled) this.#handled.add(message);
    try {
      await this.#options.onMessage?.(message);
      for (const callback of this.#options.callbacks ?? []) await callback(payload, message);
    } catch (error) {
      if (this.#options.onError) return this.#options.onError(error, message);
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#over(message);
    }
  }

  #undecodable(message: Message<undefined>, error: Error): void {
    if (this.#options.onDecodeError) return this.#options.onDecodeError(message, error);
    this.#connection.log.error({ error, ...message.deliveryInfo }, 'a message cannot be read: it is rejected');
    message.reject().catch(() => undefined);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#ready.reject(error);
    this.#stop.abort(error);
  }

  #within<R>(what: string, work: Promise<R>): Promise<R> {
    return withDeadline(
      this.#connection.clock,
      STEP_TIMEOUT_MS,
      work,
      () => new OperationalError(`${what} took longer than ${STEP_TIMEOUT_MS / 1000} s`, { recoverable: true }),
    );
  }
}

function unlessStopped(error: unknown): void {
  if (error !== STOPPED) throw error;
}
