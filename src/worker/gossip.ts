import { eventExchange } from '../app/event-sender.ts';
import { localizeEvent } from '../app/event-localize.ts';
import { queue as queueNamed } from '../messaging/entity.ts';
import { decodeEvents, type EventFields } from '../protocol/event.ts';
import type { Timer } from '../runtime/clock.ts';
import type { Connection, Delivery, Transport } from '../transports/transport.ts';
import type { Cluster } from './cluster.ts';
import { Elections } from './election.ts';
import type { WorkerParts } from './parts.ts';

const CHECK_MS = 2_000;

/**
 * Listens to what other workers tell of themselves: who came, left or is lost, and elections. Keeps the logical clock
 * ahead of theirs.
 *
 * Source: celery.worker.consumer.gossip.Gossip.
 */
export class Gossip {
  readonly #parts: WorkerParts;
  readonly #transport: Transport;
  readonly #cluster: Cluster;
  readonly #ttlMs: number;
  readonly #accept: ReadonlySet<string>;
  readonly elections: Elections;
  #timer: Timer | undefined;
  #checkedMs = 0;
  #namesakeTold = false;

  /** @param heartbeatMs how old news may get before they are dropped unread */
  constructor(parts: WorkerParts, transport: Transport, cluster: Cluster, heartbeatMs: number) {
    this.#parts = parts;
    this.#transport = transport;
    this.#cluster = cluster;
    this.#ttlMs = heartbeatMs;
    const { serializers, conf } = parts.app;
    this.#accept = serializers.acceptSet([conf.eventSerializer, 'json']);
    this.elections = new Elections(parts, () => cluster.alive(parts.app.clock.now() / 1000));
  }

  /** Listens on this connection until it ends. */
  async attach(connection: Connection): Promise<void> {
    const { app } = this.#parts;
    const { eventQueuePrefix, eventQueueDurable, eventQueueExclusive, eventQueueExpires } = app.conf;
    const channel = await connection.channel();
    const queue = queueNamed(`${eventQueuePrefix}.${app.random.uuid()}`, {
      exchange: eventExchange(app, this.#transport),
      routingKey: 'worker.#',
      durable: eventQueueDurable,
      exclusive: eventQueueExclusive,
      autoDelete: !eventQueueDurable,
      noAck: true,
      expiresMs: eventQueueExpires * 1000,
      messageTtlMs: this.#ttlMs,
    });
    await channel.declare(queue);
    await channel.consume(queue, this.#receive, { prefetch: 0, noAck: true });
    if (this.#timer === undefined) this.#next();
  }

  /** Harmless twice. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #next(): void {
    const { clock } = this.#parts.app;
    this.#checkedMs = clock.monotonic();
    this.#timer = clock.setTimer(
      CHECK_MS,
      () => {
        // After a pause of this process nobody was heard of, because nobody was listened to.
        const paused = clock.monotonic() - this.#checkedMs > 2 * CHECK_MS;
        if (!paused) this.#cluster.check(clock.now() / 1000);
        this.#next();
      },
      { keepAlive: false },
    );
  }

  readonly #receive = ({ message }: Delivery): void => {
    const { app, log } = this.#parts;
    try {
      for (const event of decodeEvents(message, app.serializers, this.#accept)) {
        if (event.type === 'worker-elect') this.elections.candidate(event);
        else if (event.type === 'worker-elect-ack') this.elections.confirmed(event);
        else if (event.type.startsWith('worker-')) this.#hear(event, message.headers['hostname'] ?? event['hostname']);
      }
    } catch (error) {
      log.warn({ error }, 'an event that could not be read was dropped');
    }
  };

  #hear(event: EventFields, hostname: unknown): void {
    const { app, log } = this.#parts;
    if (hostname !== this.#parts.hostname) {
      return this.#cluster.apply(localizeEvent(event, { lamport: app.lamport, nowMs: app.clock.now() }));
    }
    app.lamport.tick();
    if (this.#namesakeTold || event['pid'] === process.pid || event.type === 'worker-offline') return;
    this.#namesakeTold = true;
    log.warn(
      { pid: event['pid'] },
      'another worker has the same node name: commands and monitors mix the two up; give each its own (-n)',
    );
  }
}
