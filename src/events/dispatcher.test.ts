import { expect, test } from 'vitest';
import { Celery } from '../app/celery.ts';
import { decodeEvents, type EventFields } from '../protocol/event.ts';
import type { Message } from '../protocol/message.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { Destination } from '../transports/transport.ts';
import { EventDispatcher } from './dispatcher.ts';

/** A dispatcher whose broker is a list, and can be away. */
async function setUp(): Promise<{
  readonly events: EventDispatcher;
  readonly clock: ManualClock;
  readonly sent: { readonly key: string; readonly events: readonly EventFields[] }[];
  away: boolean;
}> {
  const clock = new ManualClock();
  const app = new Celery({ broker: 'memory://', clock });
  await app.transport();
  const sent: { key: string; events: readonly EventFields[] }[] = [];
  const self = { events: new EventDispatcher(app, 'w@h'), clock, sent, away: false };
  app.publisher.publishRaw = async (message: Message, { routingKey: key }: Destination) => {
    if (self.away) throw new Error('away');
    sent.push({ key, events: decodeEvents(message, app.serializers, new Set(['application/json'])) });
  };
  return self;
}

const numbers = (sent: Awaited<ReturnType<typeof setUp>>['sent']): unknown[] =>
  sent.flatMap(({ events }) => events.map((event) => event['n']));

test('task events of one moment are one message, and at most 24 are', async () => {
  const { events, clock, sent } = await setUp();
  for (let n = 0; n < 30; n++) events.send('task-started', { uuid: String(n), n });
  events.send('worker-heartbeat', { n: 30 });
  await clock.advance(10);
  expect(sent.map(({ key, events: { length } }) => [key, length])).toEqual([
    ['task.multi', 24],
    ['task.multi', 6],
    ['worker.heartbeat', 1],
  ]);
  expect(numbers(sent)).toEqual(Array.from({ length: 31 }, (_, n) => n));
  await events.close();
});

test('an event has its envelope in Celery’s order', async () => {
  const { events, clock, sent } = await setUp();
  events.send('worker-elect-ack', { id: 'x' });
  await clock.advance(0);
  const [event] = sent[0]?.events ?? [];
  expect(sent[0]?.key).toBe('worker.elect.ack');
  expect(Object.keys(event ?? {})).toEqual(['hostname', 'utcoffset', 'pid', 'clock', 'id', 'timestamp', 'type']);
  expect(event).toMatchObject({ hostname: 'w@h', pid: process.pid, clock: 1, timestamp: clock.now() / 1000 });
  await events.close();
});

test('while the broker is away events wait, and leave in order when it is back', async () => {
  const self = await setUp();
  const { events, clock, sent } = self;
  self.away = true;
  for (let n = 0; n < 100; n++) events.send('task-started', { uuid: String(n), n });
  await clock.advance('3s');
  events.send('worker-heartbeat', { n: 'late heartbeats say nothing' });
  events.send('task-started', { uuid: '100', n: 100 });
  await clock.advance('1s');
  expect([sent.length, events.waiting]).toEqual([0, 101]);
  self.away = false;
  await clock.advance('2s');
  expect(numbers(sent)).toEqual(Array.from({ length: 101 }, (_, n) => n));
  expect([events.waiting, events.dropped]).toEqual([0, 0]);
  await events.close();
});

test('what waits is bounded: the oldest go', async () => {
  const self = await setUp();
  const { events, clock, sent } = self;
  self.away = true;
  events.send('task-started', { uuid: 'first', n: -1 });
  await clock.advance('1s');
  for (let n = 0; n < 24 * 500; n++) events.send('task-started', { uuid: String(n), n });
  expect(events.waiting).toBeLessThanOrEqual(10_000);
  expect(events.waiting + events.dropped).toBe(24 * 500 + 1);
  self.away = false;
  await clock.advance('2s');
  expect(numbers(sent).at(-1)).toBe(24 * 500 - 1);
  expect(numbers(sent)).toHaveLength(24 * 500 + 1 - events.dropped);
});

test('closing tries once more and never hangs', async () => {
  const self = await setUp();
  const { events, clock } = self;
  self.away = true;
  events.send('task-started', { uuid: 'a' });
  await clock.advance('1s');
  await events.close();
  await events.close();
  events.send('task-started', { uuid: 'b' });
  expect(events.waiting).toBe(1);
  expect(clock.pending).toBe(0);
});
