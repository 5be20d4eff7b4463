import { ChannelError, OperationalError } from '../errors.ts';
import type { Queue } from '../messaging/entity.ts';
import { backoffMs } from '../runtime/backoff.ts';
import { sleep, withDeadline, type Timer } from '../runtime/clock.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import type { Channel, Connection, Consumer as ChannelConsumer, Delivery, Transport } from '../transports/transport.ts';
import type { WorkerParts } from './parts.ts';

/*
 * connecting   opening a connection, within its deadline
 * declaring    channels, queues, consumers, within its deadline
 * consuming    deliveries arrive, and every consumer proves that it reads
 * draining     no new deliveries; what was delivered may still be settled
 * closed       nothing is left
 *
 * Any failure ends the connection as a whole, and everything starts from zero after a jittered wait. No state is
 * repaired: half-rebuilt consumers are how workers come to be alive without consuming.
 */
export type ConsumerState = 'connecting' | 'declaring' | 'consuming' | 'draining' | 'closed';

export interface ConsumerOptions {
  readonly transport: Transport;
  readonly queues: () => readonly Queue[];
  /** 0: without limit; below 0: nothing. */
  readonly prefetch: () => number;
  /** Called for every delivery; never throws. */
  readonly deliver: (delivery: Delivery) => void;
  /** More to set up on each new connection: remote control. */
  readonly attach: (connection: Connection) => Promise<void>;
  /** The queues of this connection are consumed. */
  readonly attached: () => Promise<void>;
  /** The connection is gone: nothing it delivered can be settled any more. */
  readonly onLost: (error: Error) => void;
  /** Tasks run in this event loop. */
  readonly sharesLoop: boolean;
  readonly connectTimeoutMs: number;
  /** null: without end */
  readonly maxRetries: number | null;
  readonly retry: boolean;
  /** Whether a first connection that fails is tried again. */
  readonly retryOnStartup: boolean;
}

const DECLARE_TIMEOUT_MS = 30_000;
const STALL_MS = 30_000;
const CHECK_MS = 2_000;
const REFUSED_RETRY_MS = 30_000;
const BACKOFF = { baseMs: 200, capMs: 4_000 } as const;

interface Session {
  readonly connection: Connection;
  readonly channel: Channel;
  readonly consumers: Map<string, ChannelConsumer>;
  readonly ended: Deferred<Error>;
}

/** Keeps one worker consuming for as long as it is wanted. */
export class Consumer {
  readonly #parts: WorkerParts;
  readonly #options: ConsumerOptions;
  readonly #ready: Deferred<void> = deferred();
  readonly #stop = new AbortController();
  #state: ConsumerState = 'closed';
  #session: Session | undefined;
  #running: Promise<void> | undefined;
  /** Has consumed once. */
  #started = false;
  #prefetch = -1;
  #prefetchQueued = false;

  constructor(parts: WorkerParts, options: ConsumerOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#ready.promise.catch(() => {});
  }

  get state(): ConsumerState {
    return this.#state;
  }

  /** Resolves when the first connection consumes. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Runs until `drain()`. @throws the last error when no more tries are allowed */
  run(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    const { app, log, counters } = this.#parts;
    const { signal } = this.#stop;
    // Retries that are counted are those without a connection in between; the waits grow until one has lasted.
    for (let failures = 0, inVain = 0; !signal.aborted;) {
      const startedMs = app.clock.monotonic();
      const connectsBefore = counters.connects;
      const error = await this.#consume();
      if (error === undefined || signal.aborted) break;
      if (app.clock.monotonic() - startedMs > STALL_MS) failures = 0;
      failures++;
      inVain = counters.connects > connectsBefore ? 0 : inVain + 1;
      const { maxRetries } = this.#options;
      const retry = this.#started ? this.#options.retry : this.#options.retryOnStartup;
      const hopeless = error instanceof OperationalError && !error.recoverable;
      if (hopeless || !retry || (maxRetries !== null && inVain > maxRetries)) {
        this.#state = 'closed';
        this.#ready.reject(error);
        throw error;
      }
      const waitMs = backoffMs(Math.min(failures - 1, 10), BACKOFF, app.random);
      log.error(
        { error, tries: failures, waitMs, connects: counters.connects },
        'connection to broker lost: trying again',
      );
      await sleep(app.clock, waitMs, signal).catch(() => {});
    }
    if (this.#session === undefined) this.#state = 'closed';
  }

  /** One connection from its beginning to its end; resolves to what ended it. Never rejects. */
  async #consume(): Promise<Error | undefined> {
    let connection: Connection | undefined;
    try {
      this.#state = 'connecting';
      connection = await this.#connect();
      this.#stop.signal.throwIfAborted();
      this.#state = 'declaring';
      const session = await this.#within(
        DECLARE_TIMEOUT_MS,
        'declaring',
        unlessClosed(connection, this.#open(connection)),
      );
      this.#stop.signal.throwIfAborted();
      this.#session = session;
      this.#state = 'consuming';
      this.#parts.counters.connects++;
      this.#started = true;
      this.#ready.resolve();
      // Messages that came while the rest was set up may have changed the window: nobody told the consumers.
      this.updatePrefetch();
      const watch = this.#watch(session);
      const onStop = (): void => session.ended.resolve(STOPPED);
      this.#stop.signal.addEventListener('abort', onStop, { once: true });
      if (this.#stop.signal.aborted) onStop();
      const error = await session.ended.promise;
      this.#stop.signal.removeEventListener('abort', onStop);
      watch.cancel();
      if (error === STOPPED) return undefined;
      this.#session = undefined;
      this.#options.onLost(error);
      await this.#discard(connection);
      return error;
    } catch (error) {
      if (connection) await this.#discard(connection);
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  async #connect(): Promise<Connection> {
    const abort = new AbortController();
    const connecting = this.#options.transport.connect({ signal: abort.signal, sharesLoop: this.#options.sharesLoop });
    try {
      return await this.#within(this.#options.connectTimeoutMs, 'connecting', connecting);
    } catch (error) {
      abort.abort(error);
      connecting.then(
        (late) => void this.#discard(late),
        () => {},
      );
      throw error;
    }
  }

  async #open(connection: Connection): Promise<Session> {
    const session: Session = {
      connection,
      channel: await connection.channel(),
      consumers: new Map(),
      ended: deferred(),
    };
    void connection.closed.then((error) =>
      session.ended.resolve(error ?? new OperationalError('the connection was closed', { recoverable: true })),
    );
    await this.#options.attach(connection);
    this.#prefetch = this.#options.prefetch();
    await this.#consumeAll(session);
    await this.#options.attached();
    return session;
  }

  /** A queue that the broker refuses takes no other with it. @throws {ChannelError} when it refuses all */
  async #consumeAll(session: Session): Promise<void> {
    let refused: ChannelError | undefined;
    for (const queue of this.#options.queues()) {
      try {
        await this.#consumeFrom(session, queue);
      } catch (error) {
        if (!(error instanceof ChannelError)) throw error;
        refused = error;
        this.#later(session, queue, error);
      }
    }
    if (refused !== undefined && session.consumers.size === 0) throw refused;
  }

  async #consumeFrom(session: Session, queue: Queue): Promise<void> {
    await session.channel.declare(queue);
    const consumer = await session.channel.consume(queue, this.#options.deliver, {
      prefetch: this.#prefetch,
      noAck: queue.noAck,
      // Where its deliveries are lost they are somebody else's by now: those that run have to be found again.
      onCancel: (reason, settles = false) => {
        if (settles && this.#session === session) void this.#again(session, queue, reason);
        else session.ended.resolve(reason);
      },
    });
    session.consumers.set(queue.name, consumer);
  }

  /** The broker refuses a queue: somebody may correct that, so it is tried again now and then. */
  #later(session: Session, queue: Queue, error: ChannelError): void {
    const fields = { error, queue: queue.name, waitMs: REFUSED_RETRY_MS };
    this.#parts.log.error(fields, 'the broker refuses a queue: it is not consumed, the others are');
    const retry = (): void => void this.#again(session, queue);
    const timer = this.#parts.app.clock.setTimer(REFUSED_RETRY_MS, retry, { keepAlive: false });
    void session.ended.promise.then(() => timer.cancel());
  }

  /** Consumes one queue anew on a connection that works. Never rejects. */
  async #again(session: Session, queue: Queue, reason?: Error): Promise<void> {
    if (reason !== undefined) {
      session.consumers.delete(queue.name);
      this.#parts.log.warn({ error: reason, queue: queue.name }, 'the consumer of a queue was ended: beginning anew');
    }
    const wanted = this.#session === session && this.#state === 'consuming';
    if (!wanted || session.consumers.has(queue.name) || !this.#options.queues().includes(queue)) return;
    try {
      await this.#within(DECLARE_TIMEOUT_MS, 'declaring', this.#consumeFrom(session, queue));
    } catch (error) {
      if (error instanceof ChannelError) this.#later(session, queue, error);
      else session.ended.resolve(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Ends the session when a consumer has not proven for too long that it reads. */
  #watch(session: Session): Timer {
    const { clock } = this.#parts.app;
    let expectedMs = clock.monotonic() + CHECK_MS;
    let timer: Timer;
    const check = (): void => {
      const nowMs = clock.monotonic();
      // After a pause of the whole process the proofs are old because nobody could give one.
      const paused = nowMs - expectedMs > CHECK_MS;
      for (const [queue, consumer] of session.consumers) {
        if (paused || nowMs - consumer.lastProofMs < STALL_MS) continue;
        session.ended.resolve(
          new OperationalError(`the consumer of queue "${queue}" has not read for ${STALL_MS / 1000} s`, {
            recoverable: true,
          }),
        );
      }
      expectedMs = nowMs + CHECK_MS;
      timer = clock.setTimer(CHECK_MS, check, { keepAlive: false });
    };
    timer = clock.setTimer(CHECK_MS, check, { keepAlive: false });
    return { cancel: () => timer.cancel() };
  }

  /** Also consumes from this queue from now on; survives reconnects where `queues()` has it. */
  async addQueue(queue: Queue): Promise<void> {
    const session = this.#session;
    if (!session || session.consumers.has(queue.name)) return;
    await this.#consumeFrom(session, queue);
  }

  async cancelQueue(name: string): Promise<void> {
    const consumer = this.#session?.consumers.get(name);
    this.#session?.consumers.delete(name);
    await consumer?.cancel();
  }

  /** Takes over a changed window; several changes of one moment are one. */
  updatePrefetch(): void {
    if (this.#prefetchQueued) return;
    this.#prefetchQueued = true;
    queueMicrotask(() => {
      this.#prefetchQueued = false;
      void this.applyPrefetch();
    });
  }

  /** Takes over a changed window. Resolves when the broker keeps to it; never rejects. */
  applyPrefetch(): Promise<void> | undefined {
    const count = this.#options.prefetch();
    if (count === this.#prefetch || !this.#session) return undefined;
    this.#prefetch = count;
    const changes = [...this.#session.consumers.values()].map((consumer) => consumer.setPrefetch(count));
    return Promise.all(changes).then(
      () => undefined,
      (error: unknown) => this.#parts.log.debug({ error }, 'the prefetch window could not be changed'),
    );
  }

  /** Stops deliveries; the connection stays, so that what runs can be settled. Harmless twice. */
  async drain(): Promise<void> {
    if (this.#state === 'consuming') this.#state = 'draining';
    this.#stop.abort(STOPPED);
    const session = this.#session;
    if (!session) return;
    const cancelled = Promise.allSettled([...session.consumers.values()].map((consumer) => consumer.cancel()));
    await this.#within(DECLARE_TIMEOUT_MS, 'cancelling', cancelled).catch((error: unknown) => {
      this.#parts.log.warn({ error }, 'the consumers could not be cancelled in time');
    });
  }

  /** Returns what is unsettled to its queues and disconnects. Harmless twice, and before `run()`. */
  async close(): Promise<void> {
    await this.drain();
    // A connection that was on its way when the stop came is discarded by the run itself.
    await this.#running?.catch(() => {});
    const session = this.#session;
    this.#session = undefined;
    this.#state = 'closed';
    this.#ready.reject(STOPPED);
    if (session) await this.#discard(session.connection);
  }

  async #discard(connection: Connection): Promise<void> {
    await this.#within(DECLARE_TIMEOUT_MS, 'closing', connection.close()).catch((error: unknown) => {
      this.#parts.log.debug({ error }, 'the old connection did not close cleanly');
    });
  }

  #within<T>(timeoutMs: number, what: string, work: Promise<T>): Promise<T> {
    return withDeadline(
      this.#parts.app.clock,
      timeoutMs,
      work,
      () => new OperationalError(`${what} took longer than ${timeoutMs / 1000} s`, { recoverable: true }),
    );
  }
}

/** A connection that ends meanwhile ends the work on it, also where something asked of it never answers. */
function unlessClosed<T>(connection: Connection, work: Promise<T>): Promise<T> {
  const closed = connection.closed.then((error): never => {
    throw error ?? new OperationalError('the connection was closed', { recoverable: true });
  });
  return Promise.race([work, closed]);
}

const STOPPED = new OperationalError('the worker stops', { recoverable: false });
