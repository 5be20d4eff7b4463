import { ImproperlyConfigured, OperationalError } from '../errors.ts';
import { queue as queueNamed, type Queue } from '../messaging/entity.ts';
import { decodeEvents } from '../protocol/event.ts';
import { backoffMs } from '../runtime/backoff.ts';
import { sleep, withDeadline } from '../runtime/clock.ts';
import { deferred } from '../runtime/deferred.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { CeleryEvent } from '../protocol/event-types.ts';
import type { Connection, Consumer, Delivery, Transport } from '../transports/transport.ts';
import type { Celery } from './celery.ts';
import { localizeEvent } from './event-localize.ts';
import { eventExchange } from './event-sender.ts';

export interface EventStreamOptions {
  /** Only events of these types (`task-failed`). @default all */
  readonly types?: readonly string[] | undefined;
  /** Ends the iteration with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the iteration after this many events. */
  readonly limit?: number | undefined;
  /** Ends the iteration after a silence this long; lost connections count as silence. */
  readonly timeout?: Duration | undefined;
  /** Events kept for a slow reader; beyond it the oldest are dropped, and counted. @default 10000 */
  readonly bufferSize?: number | undefined;
  /** Asks all workers for a heartbeat on each connection, so that they show up at once. @default true */
  readonly wakeup?: boolean | undefined;
  /** Asks all workers to send task events, on each connection. @default false */
  readonly enable?: boolean | undefined;
  /** Only messages whose routing key (`task.failed`, `task.multi`) matches. @default '#' */
  readonly routingKey?: string | undefined;
  /** Called when the connection is lost; events of the meantime are lost too. */
  readonly onLost?: ((error: Error) => void) | undefined;
}

const MOST_UNREAD = 10_000;
const BACKOFF = { baseMs: 100, capMs: 5_000 } as const;
const STALL_MS = 60_000;
const CHECK_MS = 5_000;

/**
 * What workers and producers tell, as it comes. Connects with the first `next()` or `ready()`, again whenever the
 * connection was lost, and lets the broker go when the iteration ends.
 * Source: celery.events.receiver.EventReceiver.
 */
export class EventStream<E = CeleryEvent> implements AsyncIterableIterator<E>, AsyncDisposable {
  readonly #app: Celery;
  readonly #options: EventStreamOptions;
  readonly #types: ReadonlySet<string> | undefined;
  readonly #most: number;
  readonly #accept: ReadonlySet<string>;
  readonly #stop = new AbortController();
  readonly #ready = deferred();
  #unread: E[] = [];
  #head = 0;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #taken = 0;
  #dropped = 0;

  /** @throws {ImproperlyConfigured} when the queue's settings contradict each other */
  constructor(app: Celery, options: EventStreamOptions = {}) {
    const { eventQueueExclusive, eventQueueDurable, eventSerializer } = app.conf;
    if (eventQueueExclusive && eventQueueDurable) {
      throw new ImproperlyConfigured(
        'eventQueueExclusive and eventQueueDurable are both true: a queue of one connection cannot outlive it',
      );
    }
    this.#app = app;
    this.#options = options;
    this.#types = options.types === undefined ? undefined : new Set(options.types);
    this.#most = Math.max(1, options.bufferSize ?? MOST_UNREAD);
    this.#accept = app.serializers.acceptSet([eventSerializer, 'json']);
    this.#ready.promise.catch(() => {});
  }

  /** Events dropped because they were not read in time. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Resolves when every event that is published from now on arrives. @throws when the broker is out of reach */
  ready(): Promise<void> {
    this.#running ??= this.#run();
    return this.#ready.promise;
  }

  async next(): Promise<IteratorResult<E, undefined>> {
    const { signal, limit, timeout } = this.#options;
    const timeoutMs = timeout === undefined ? undefined : durationMs(timeout);
    this.#running ??= this.#run();
    for (;;) {
      if (signal?.aborted) {
        await this.return();
        throw signal.reason;
      }
      if (limit !== undefined && this.#taken >= limit) return this.return();
      if (this.#head < this.#unread.length) {
        this.#taken++;
        return { value: this.#take(), done: false };
      }
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#stop.signal.aborted) return { value: undefined, done: true };
      if (!(await this.#more(timeoutMs, signal))) return this.return();
    }
  }

  /** Ends the iteration; resolves when the broker is let go. Harmless twice. */
  async return(): Promise<IteratorResult<E, undefined>> {
    this.#stop.abort(STOPPED);
    this.#unread = [];
    this.#head = 0;
    this.#wake?.();
    await this.#running;
    return { value: undefined, done: true };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): E {
    const event = this.#unread[this.#head] as E;
    this.#unread[this.#head++] = undefined as E;
    if (this.#head === this.#unread.length) {
      this.#unread = [];
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#unread.length) {
      this.#unread.splice(0, this.#head);
      this.#head = 0;
    }
    return event;
  }

  /** @returns false after a silence of `timeoutMs` */
  async #more(timeoutMs: number | undefined, signal: AbortSignal | undefined): Promise<boolean> {
    let silent = false;
    await new Promise<void>((resolve) => {
      const timer =
        timeoutMs === undefined
          ? undefined
          : this.#app.clock.setTimer(timeoutMs, () => {
              silent = true;
              wake();
            });
      const wake = (): void => {
        timer?.cancel();
        signal?.removeEventListener('abort', wake);
        if (this.#wake === wake) this.#wake = undefined;
        resolve();
      };
      this.#wake?.();
      this.#wake = wake;
      signal?.addEventListener('abort', wake, { once: true });
    });
    return !silent;
  }

  /** Never rejects: what ends it is thrown by `next()`. */
  async #run(): Promise<void> {
    const app = this.#app;
    const { signal } = this.#stop;
    const onAbort = (): void => this.#stop.abort(STOPPED);
    this.#options.signal?.addEventListener('abort', onAbort, { once: true });
    if (this.#options.signal?.aborted) onAbort();
    const most = app.conf.brokerConnectionMaxRetries;
    for (let failures = 0; !signal.aborted;) {
      let subscribed = false;
      const error = await this.#session(() => {
        subscribed = true;
        this.#ready.resolve();
      });
      if (signal.aborted) break;
      failures = subscribed ? 1 : failures + 1;
      this.#options.onLost?.(error);
      const hopeless = error instanceof OperationalError ? !error.recoverable : !subscribed;
      if (hopeless || (most !== null && failures > most)) {
        this.#failure = { error };
        break;
      }
      app.log.warn({ error, tries: failures }, 'the connection for events was lost: trying again');
      await sleep(app.clock, backoffMs(Math.min(failures, 10), BACKOFF, app.random), signal).catch(() => {});
    }
    this.#options.signal?.removeEventListener('abort', onAbort);
    this.#ready.reject(this.#failure?.error ?? STOPPED);
    this.#wake?.();
  }

  /** One connection from its beginning to its end. @returns what ended it */
  async #session(subscribed: () => void): Promise<Error> {
    let connection: Connection | undefined;
    try {
      const transport = await this.#app.transport();
      connection = await this.#connect(transport);
      const consumer = await this.#within('subscribing to events', this.#subscribe(connection, transport));
      subscribed();
      const ended = deferred<Error>();
      const onStop = (): void => ended.resolve(STOPPED);
      this.#stop.signal.addEventListener('abort', onStop, { once: true });
      if (this.#stop.signal.aborted) onStop();
      void connection.closed.then((error) => ended.resolve(error ?? recoverable('the connection was closed')));
      const watch = this.#watch(consumer, ended.resolve);
      void this.#call();
      const error = await ended.promise;
      watch.cancel();
      this.#stop.signal.removeEventListener('abort', onStop);
      return error;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    } finally {
      if (connection) await this.#within('closing', connection.close()).catch(() => {});
    }
  }

  async #connect(transport: Transport): Promise<Connection> {
    const abort = new AbortController();
    const onStop = (): void => abort.abort(STOPPED);
    this.#stop.signal.addEventListener('abort', onStop, { once: true });
    const connecting = transport.connect({ signal: abort.signal });
    try {
      return await this.#within('connecting to the broker', connecting);
    } catch (error) {
      abort.abort(error);
      connecting.then(
        (late) => late.close().catch(() => {}),
        () => {},
      );
      throw error;
    } finally {
      this.#stop.signal.removeEventListener('abort', onStop);
    }
  }

  async #subscribe(connection: Connection, transport: Transport): Promise<Consumer> {
    const channel = await connection.channel();
    const queue = this.#queue(transport);
    await channel.declare(queue);
    return channel.consume(queue, this.#receive, { prefetch: 0, noAck: true });
  }

  #queue(transport: Transport): Queue {
    const app = this.#app;
    const { eventQueuePrefix, eventQueueDurable, eventQueueExclusive, eventQueueExpires, eventQueueTtl } = app.conf;
    return queueNamed(`${eventQueuePrefix}.${app.random.uuid()}`, {
      exchange: eventExchange(app, transport),
      routingKey: this.#options.routingKey ?? '#',
      durable: eventQueueDurable,
      exclusive: eventQueueExclusive,
      autoDelete: !eventQueueDurable,
      noAck: true,
      expiresMs: eventQueueExpires * 1000,
      messageTtlMs: eventQueueTtl * 1000,
    });
  }

  /** Workers that live show themselves, instead of with their next heartbeat. */
  async #call(): Promise<void> {
    const { wakeup = true, enable = false } = this.#options;
    try {
      if (wakeup) await this.#app.control.broadcast('heartbeat');
      if (enable) await this.#app.control.broadcast('enable_events');
    } catch (error) {
      this.#app.log.debug({ error }, 'the workers could not be asked for events');
    }
  }

  /** Ends a session whose consumer has not proven for too long that it reads. */
  #watch(consumer: Consumer, end: (error: Error) => void): { cancel(): void } {
    const { clock } = this.#app;
    const check = (): void => {
      if (clock.monotonic() - consumer.lastProofMs > STALL_MS) {
        end(recoverable(`no sign of the broker for ${STALL_MS / 1000} s`));
      } else timer = clock.setTimer(CHECK_MS, check, { keepAlive: false });
    };
    let timer = clock.setTimer(CHECK_MS, check, { keepAlive: false });
    return { cancel: () => timer.cancel() };
  }

  readonly #receive = (delivery: Delivery): void => {
    const app = this.#app;
    try {
      for (const event of decodeEvents(delivery.message, app.serializers, this.#accept)) {
        const localized = localizeEvent(event, { lamport: app.lamport, nowMs: app.clock.now() });
        if (this.#types === undefined || this.#types.has(event.type)) this.#keep(localized as unknown as E);
      }
    } catch (error) {
      app.log.warn({ error }, 'an event that could not be read was dropped');
    }
  };

  #keep(event: E): void {
    if (this.#unread.length - this.#head >= this.#most) {
      this.#dropped++;
      this.#take();
    }
    this.#unread.push(event);
    this.#wake?.();
  }

  #within<T>(what: string, work: Promise<T>): Promise<T> {
    const seconds = Math.max(1, this.#app.conf.brokerConnectionTimeout);
    return withDeadline(this.#app.clock, seconds * 1000, work, () =>
      recoverable(`${what} took longer than ${seconds} s`),
    );
  }
}

function recoverable(message: string): OperationalError {
  return new OperationalError(message, { recoverable: true });
}

const STOPPED = new OperationalError('the event stream was closed', { recoverable: false });
