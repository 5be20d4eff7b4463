import { loadavg } from 'node:os';
import { hoursWest } from '../app/event-localize.ts';
import { eventExchange } from '../app/event-sender.ts';
import type { Celery } from '../app/celery.ts';
import type { Exchange } from '../messaging/entity.ts';
import { encodeEvents, eventRoutingKey, GROUPED_EVENTS_KEY, type EventFields } from '../protocol/event.ts';
import type { Timer } from '../runtime/clock.ts';

/*
 * group    task events of one moment, that will travel as one message
 * outbox   messages in the order they are to leave; while the broker is away they wait here
 */

/** Most task events in one message. */
const GROUP_SIZE = 24;
/** Events kept while the broker is away; the oldest go first. */
const MOST_BUFFERED = 10_000;
const GROUPED_FOR_MS = 5;
/** Messages on their way at a time. */
const MOST_IN_FLIGHT = 64;
const RETRY_MS = 1_000;
/** A worker that stops does not wait longer than this for its last events to leave. */
const LAST_TRY_MS = 2_000;

type Fields = Readonly<Record<string, unknown>>;

interface Outgoing {
  readonly events: EventFields | readonly EventFields[];
  readonly routingKey: string;
  readonly count: number;
}

/**
 * Tells monitors what a worker does. Task events of one moment travel together as `task.multi`; what the broker does
 * not take is kept, and sent in the same order when it is back.
 * Nobody asked: `taskEvents` is false, and sending costs a comparison at the caller's.
 *
 * Source: celery.events.dispatcher.EventDispatcher.
 */
export class EventDispatcher {
  readonly #app: Celery;
  readonly #hostname: string;
  #enabled = false;
  #open = true;
  #group: EventFields[] = [];
  #timer: Timer | undefined;
  #outbox: Outgoing[] = [];
  #waiting = 0;
  #dropped = 0;
  #pumping: Promise<void> | undefined;
  #retryTimer: Timer | undefined;
  #exchange: Promise<Exchange> | undefined;

  constructor(app: Celery, hostname: string) {
    this.#app = app;
    this.#hostname = hostname;
  }

  /** Whether task events are wanted. */
  get taskEvents(): boolean {
    return this.#enabled;
  }

  /** Events that the broker has not taken yet. */
  get waiting(): number {
    return this.#waiting + this.#group.length;
  }

  /** Events given up because too many were waiting. */
  get dropped(): number {
    return this.#dropped;
  }

  enableTaskEvents(): void {
    this.#enabled = true;
  }

  disableTaskEvents(): void {
    this.#enabled = false;
  }

  /** Queues one event. Never throws, never waits. */
  send(type: string, fields: Fields): void {
    if (!this.#open) return;
    if (!type.startsWith('task-')) {
      // A heartbeat that comes late says nothing.
      if (type === 'worker-heartbeat' && this.#retryTimer !== undefined) return;
      // What was said before leaves before.
      this.#closeGroup();
      this.#put({ events: this.#event(type, fields), routingKey: eventRoutingKey(type), count: 1 });
      return;
    }
    this.#group.push(this.#event(type, fields));
    if (this.#group.length >= GROUP_SIZE) this.#closeGroup();
    else this.#timer ??= this.#app.clock.setTimer(GROUPED_FOR_MS, () => this.#closeGroup(), { keepAlive: false });
  }

  /** Fields that every worker event has besides its own. */
  static load(): Fields {
    return { loadavg: loadavg().map((value) => Math.round(value * 100) / 100) };
  }

  /** Sends what is left, for as long as the broker takes it; further events are dropped. Harmless twice. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#closeGroup();
    this.#open = false;
    if (this.#retryTimer !== undefined) this.#pump(LAST_TRY_MS);
    await this.#pumping;
    this.#retryTimer?.cancel();
    this.#retryTimer = undefined;
  }

  #event(type: string, fields: Fields): EventFields {
    const nowMs = this.#app.clock.now();
    return {
      hostname: this.#hostname,
      utcoffset: hoursWest(nowMs),
      pid: process.pid,
      clock: this.#app.lamport.tick(),
      ...fields,
      timestamp: nowMs / 1000,
      type,
    };
  }

  #closeGroup(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const events = this.#group;
    if (events.length === 0) return;
    this.#group = [];
    this.#put({ events, routingKey: GROUPED_EVENTS_KEY, count: events.length });
  }

  #put(outgoing: Outgoing): void {
    this.#outbox.push(outgoing);
    this.#waiting += outgoing.count;
    while (this.#waiting > MOST_BUFFERED) {
      const { count } = this.#outbox.shift() as Outgoing;
      this.#waiting -= count;
      this.#dropped += count;
    }
    if (this.#retryTimer === undefined) this.#pump();
  }

  #pump(timeoutMs?: number): void {
    this.#retryTimer?.cancel();
    this.#retryTimer = undefined;
    this.#pumping ??= this.#empty(timeoutMs).finally(() => (this.#pumping = undefined));
  }

  /** Sends what waits, a window at a time; the first that the broker refuses ends it. Never rejects. */
  async #empty(timeoutMs: number | undefined): Promise<void> {
    while (this.#outbox.length > 0) {
      const window = this.#outbox.splice(0, MOST_IN_FLIGHT);
      const results = await Promise.allSettled(window.map((outgoing) => this.#deliver(outgoing, timeoutMs)));
      const left = window.filter((_, at) => results[at]?.status === 'rejected');
      this.#waiting -= window.reduce((sum, { count }) => sum + count, 0);
      if (left.length === 0) continue;
      this.#outbox = [...left, ...this.#outbox];
      this.#waiting += left.reduce((sum, { count }) => sum + count, 0);
      const failed = results.find((result) => result.status === 'rejected');
      this.#app.log.debug(
        { error: failed?.reason as unknown, waiting: this.#waiting, dropped: this.#dropped },
        'events could not be published: they wait',
      );
      if (!this.#open) return;
      this.#retryTimer = this.#app.clock.setTimer(RETRY_MS, () => this.#pump(), { keepAlive: false });
      return;
    }
  }

  async #deliver({ events, routingKey }: Outgoing, timeoutMs: number | undefined): Promise<void> {
    const app = this.#app;
    this.#exchange ??= app.writeTransport().then((transport) => eventExchange(app, transport));
    const to = await this.#exchange;
    const message = encodeEvents(events, this.#hostname, (value) =>
      app.serializers.encode(value, app.conf.eventSerializer),
    );
    await app.publisher.publishRaw(message, { exchange: to.name, routingKey }, { declares: [to], timeoutMs });
  }
}
