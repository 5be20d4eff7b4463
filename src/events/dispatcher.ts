import { loadavg } from 'node:os';
import { eventExchange } from '../app/event-sender.ts';
import type { Celery } from '../app/celery.ts';
import type { Exchange } from '../messaging/entity.ts';
import { encodeEvents, eventRoutingKey, GROUPED_EVENTS_KEY, type EventFields } from '../protocol/event.ts';
import type { Timer } from '../runtime/clock.ts';

/** Most task events in one message. */
const GROUP_SIZE = 24;
/** Events kept while the broker is away; the oldest go first. */
const MOST_BUFFERED = 10_000;
const GROUPED_FOR_MS = 5;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Tells monitors what a worker does. Task events of one moment travel together as `task.multi`.
 * Nobody asked: `taskEvents` is false, and sending costs a comparison at the caller's.
 *
 * Source: celery.events.dispatcher.EventDispatcher.
 */
export class EventDispatcher {
  readonly #app: Celery;
  readonly #hostname: string;
  #enabled = false;
  #open = true;
  #buffer: EventFields[] = [];
  #timer: Timer | undefined;
  #exchange: Promise<Exchange> | undefined;
  #dropped = 0;
  readonly #pending = new Set<Promise<void>>();

  constructor(app: Celery, hostname: string) {
    this.#app = app;
    this.#hostname = hostname;
  }

  /** Whether task events are wanted. */
  get taskEvents(): boolean {
    return this.#enabled;
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
    const event = this.#event(type, fields);
    if (!type.startsWith('task-')) {
      this.#publish(event, eventRoutingKey(type));
      return;
    }
    this.#buffer.push(event);
    if (this.#buffer.length > MOST_BUFFERED) {
      this.#buffer.shift();
      this.#dropped++;
    }
    if (this.#buffer.length >= GROUP_SIZE) this.#flush();
    else this.#timer ??= this.#app.clock.setTimer(GROUPED_FOR_MS, () => this.#flush(), { keepAlive: false });
  }

  /** Fields that every worker event has besides its own. */
  static load(): Fields {
    return { loadavg: loadavg().map((value) => Math.round(value * 100) / 100) };
  }

  /** Sends what is left; further events are dropped. Harmless twice. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#flush();
    this.#open = false;
    await Promise.allSettled(this.#pending);
  }

  #event(type: string, fields: Fields): EventFields {
    const nowMs = this.#app.clock.now();
    return {
      hostname: this.#hostname,
      utcoffset: Math.floor(new Date(nowMs).getTimezoneOffset() / 60),
      pid: process.pid,
      clock: this.#app.lamport.tick(),
      ...fields,
      timestamp: nowMs / 1000,
      type,
    };
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const events = this.#buffer;
    if (events.length === 0) return;
    this.#buffer = [];
    this.#publish(events, GROUPED_EVENTS_KEY);
  }

  #publish(events: EventFields | readonly EventFields[], routingKey: string): void {
    const sent = this.#deliver(events, routingKey).catch((error: unknown) => {
      this.#app.log.debug({ error, dropped: this.#dropped }, 'events could not be published');
    });
    this.#pending.add(sent);
    void sent.then(() => this.#pending.delete(sent));
  }

  async #deliver(events: EventFields | readonly EventFields[], routingKey: string): Promise<void> {
    const app = this.#app;
    this.#exchange ??= app.writeTransport().then((transport) => eventExchange(app, transport));
    const to = await this.#exchange;
    const message = encodeEvents(events, this.#hostname, (value) =>
      app.serializers.encode(value, app.conf.eventSerializer),
    );
    await app.publisher.publishRaw(message, { exchange: to.name, routingKey }, { declares: [to] });
  }
}
