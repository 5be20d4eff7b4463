import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Beat } from '../beat/beat.ts';
import { Celery, type CeleryOptions, type Signals } from '../index.ts';
import { eventually } from '../testing/eventually.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { Worker } from './worker.ts';

const memory = (options: CeleryOptions = {}): Celery =>
  new Celery({ broker: 'memory://', backend: 'memory://', env: {}, ...options });

test('taskUnknown and taskRejected tell of messages that never become tasks', async () => {
  await using app = memory();
  const unknown: Signals['taskUnknown'][] = [];
  const rejected: Signals['taskRejected'][] = [];
  app.on('taskUnknown', (payload) => void unknown.push(payload));
  app.on('taskRejected', (payload) => void rejected.push(payload), { sender: 'w@signals' });
  await using worker = new Worker(app, { hostname: 'w@signals' });
  await worker.start();
  const { id } = await app.send('nobody.knows', [1]);
  await eventually(() => unknown.length === 1, 'taskUnknown');
  expect(unknown[0]).toMatchObject({ sender: 'w@signals', name: 'nobody.knows', id });
  expect(unknown[0]?.message.headers).toMatchObject({ task: 'nobody.knows', id });
  const body = Buffer.from('no task at all');
  await app.publisher.publishRaw(
    { body, contentType: 'text/plain', contentEncoding: 'utf-8', headers: {}, properties: {} },
    { exchange: '', routingKey: 'celery' },
  );
  await eventually(() => rejected.length === 1, 'taskRejected');
  expect(rejected[0]?.error).toBeInstanceOf(Error);
  expect(Buffer.from(rejected[0]?.message.body ?? []).toString()).toBe('no task at all');
  expect(unknown).toHaveLength(1);
});

test('heartbeatSent comes with each heartbeat, and a handler that throws stops none', async () => {
  const clock = new ManualClock();
  const app = memory({ clock });
  const sent: string[] = [];
  app.on('heartbeatSent', () => {
    throw new Error('of no concern to the worker');
  });
  app.on('heartbeatSent', ({ sender }) => void sent.push(sender));
  const worker = new Worker(app, { hostname: 'w@signals', heartbeatInterval: '5s' });
  const starting = worker.start();
  await clock.advance('10ms');
  await starting;
  await clock.advance('4s');
  expect(sent).toEqual([]);
  await clock.advance('12s');
  expect(sent).toEqual(['w@signals', 'w@signals', 'w@signals']);
  const stopped = worker.stop();
  await clock.advance('60s');
  await stopped;
  expect(sent).toHaveLength(3);
  await app.close();
});

test.each([
  [undefined, ['beatInit beat']],
  ['w@signals', ['beatInit w@signals', 'beatEmbeddedInit w@signals']],
])('beat tells that it begins; in the worker %s', async (embeddedIn, expected) => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-beat-signals-'));
  await using app = memory({ beatScheduleFilename: join(folder, 'schedule.json') });
  const seen: string[] = [];
  const stop = new AbortController();
  const beat = new Beat(app, { embeddedIn });
  for (const name of ['beatInit', 'beatEmbeddedInit'] as const) {
    app.on(name, (event) => void seen.push(event.beat === beat ? `${name} ${event.sender}` : 'another beat'));
  }
  const ended = beat.run({ signal: stop.signal });
  await eventually(() => seen.length === expected.length, 'the signals');
  stop.abort();
  await ended;
  expect(seen).toEqual(expected);
  rmSync(folder, { recursive: true, force: true });
});
