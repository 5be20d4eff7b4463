import { exchange, type Exchange } from '../messaging/entity.ts';
import { encodeEvents, eventRoutingKey, type EventFields } from '../protocol/event.ts';
import type { Transport } from '../transports/transport.ts';
import type { Celery } from './celery.ts';
import { hoursWest } from './event-localize.ts';

/** Transports on which Celery declares the event exchange as fanout. */
const FANOUT_EVENTS: ReadonlySet<string> = new Set(['redis', 'gcpubsub']);

/** Where events go (spec: amqp-topology.md 1). */
export function eventExchange(app: Celery, transport: Transport): Exchange {
  const type = FANOUT_EVENTS.has(transport.name) ? 'fanout' : 'topic';
  return exchange(app.conf.eventExchange, { type, deliveryMode: 1 });
}

/** Publishes one event of this process, outside of any worker. */
export async function publishEvent(
  app: Celery,
  type: string,
  fields: Readonly<Record<string, unknown>>,
  sender: string = app.origin,
): Promise<void> {
  const nowMs = app.clock.now();
  const event: EventFields = {
    hostname: sender,
    utcoffset: hoursWest(nowMs),
    pid: process.pid,
    clock: app.lamport.tick(),
    ...fields,
    timestamp: nowMs / 1000,
    type,
  };
  const to = eventExchange(app, await app.writeTransport());
  const message = encodeEvents(event, sender, (value) => app.serializers.encode(value, app.conf.eventSerializer));
  await app.publisher.publishRaw(message, { exchange: to.name, routingKey: eventRoutingKey(type) }, { declares: [to] });
}
