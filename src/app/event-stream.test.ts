import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { Celery, ImproperlyConfigured } from '../index.ts';
import { queueDepths } from '../events/index.ts';
import { Worker } from '../worker/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-events-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  { broker: 'memory://', backend: 'memory://' },
  { broker: `sqlite:///${folder}/events.db`, backend: `sqlite:///${folder}/events.db` },
])('the life of a task, as it is watched: $broker', async (urls) => {
  await using app = new Celery({ ...urls, taskSendSentEvent: true });
  const add = app.task('add', (x: number, y: number) => x + y);
  const fail = app.task('fail', () => {
    throw new TypeError('no');
  });
  await using worker = new Worker(app, { taskEvents: true, hostname: 'w@h' });
  await using events = app.events();
  await events.ready();
  await worker.start();
  const result = await add.delay(2, 3);
  await result.get({ timeout: '5s' });
  const seen: Record<string, unknown>[] = [];
  for await (const event of events) {
    if (event.type.startsWith('task-')) seen.push({ ...event });
    if (event.type === 'task-succeeded') {
      expect(event.result).toBe('5');
      break;
    }
  }
  expect(seen.map(({ type }) => type)).toEqual(['task-sent', 'task-received', 'task-started', 'task-succeeded']);
  expect(seen.every(({ uuid }) => uuid === result.id)).toBe(true);
  expect(seen.every((event) => typeof event['local_received'] === 'number')).toBe(true);
  expect(seen[0]).toMatchObject({ name: 'add', args: '(2, 3)', queue: 'celery', hostname: app.origin });

  await using failures = app.events({ types: ['task-failed'], limit: 1 });
  await failures.ready();
  await fail.delay();
  const failed = [];
  for await (const event of failures) failed.push(event);
  expect(failed).toMatchObject([{ type: 'task-failed', exception: "TypeError('no')" }]);
});

test('a worker that runs already shows itself at once, and task events can be switched on', async () => {
  await using app = new Celery({ broker: 'memory://' });
  const task = app.task('t', () => 1);
  await using worker = new Worker(app, { hostname: 'w@h', heartbeatInterval: '1h' });
  await worker.start();
  await using events = app.events({ enable: true });
  for await (const event of events) {
    if (event.type !== 'worker-heartbeat') continue;
    expect(event).toMatchObject({ hostname: 'w@h', freq: 5 });
    break;
  }
  const answer = { ok: 'task events already enabled' };
  await until(async () => isDeepStrictEqual((await app.control.enableEvents({ reply: true }))[0]?.value, answer));
  await using more = app.events({ wakeup: false });
  await more.ready();
  await task.delay();
  expect((await more.next()).value).toMatchObject({ type: 'task-received', name: 't' });
});

test('a slow reader loses the oldest, and is told how many', async () => {
  await using app = new Celery({ broker: 'memory://' });
  await using events = app.events<{ type: 'task-note'; n: number }>({ bufferSize: 3, wakeup: false });
  await events.ready();
  for (let n = 0; n < 5; n++) await app.publishEvent('task-note', { uuid: 'u', n });
  await until(() => events.dropped === 2, { message: 'two events were dropped' });
  const seen = [];
  for (let n = 0; n < 3; n++) {
    const { value } = await events.next();
    if (value?.type === 'task-note') seen.push(value.n);
  }
  expect(seen).toEqual([2, 3, 4]);
});

test('limit, silence, closing and an abort end the iteration', async () => {
  await using app = new Celery({ broker: 'memory://' });
  const silent = app.events({ timeout: 20 });
  expect(await silent.next()).toEqual({ value: undefined, done: true });
  const closed = app.events();
  const waiting = closed.next();
  await closed.return();
  await closed.return();
  expect(await waiting).toEqual({ value: undefined, done: true });
  const stop = new AbortController();
  const aborted = app.events({ signal: stop.signal });
  const next = aborted.next();
  stop.abort(new Error('enough'));
  await expect(next).rejects.toThrow('enough');
  await expect(app.events({ signal: stop.signal }).next()).rejects.toThrow('enough');
});

test('settings that contradict each other are refused', async () => {
  await using app = new Celery({ broker: 'memory://', eventQueueDurable: true, eventQueueExclusive: true });
  expect(() => app.events()).toThrow(ImproperlyConfigured);
});

test('queue lengths without a worker', async () => {
  await using app = new Celery({ broker: 'memory://' });
  for (let n = 0; n < 3; n++) await app.send('t', [n]);
  await app.send('t', [], { queue: 'other', priority: 5 });
  expect(await queueDepths(app)).toEqual({ celery: 3 });
  expect(await queueDepths(app, { queues: ['other', 'none'] })).toEqual({ other: 1, none: 0 });
});
