import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import type { ResultBackend, ResultRecord } from '../../src/backends/backend.ts';
import { createBackend } from '../../src/backends/redis.ts';
import { context, type RedisServer, startRedis, until } from './redis-support.ts';
import { test } from './redis-suite.ts';

let server: RedisServer;
let raw: Redis;

beforeAll(async () => {
  server = await startRedis();
  raw = server.client();
});
afterAll(() => server.stop());
beforeEach(() => raw.flushall());

function open(transportOptions: Record<string, unknown> = {}, expiresMs: number | null = 86_400_000): ResultBackend {
  return createBackend(server.url(), { expiresMs, transportOptions }, context());
}

function record(taskId: string, status: string, result: unknown = null): ResultRecord {
  return { taskId, status, result, traceback: null, children: [], dateDone: null };
}

test('keys, lifetimes and texts are those of Celery', async () => {
  await using backend = open();
  await backend.store(record('a', 'SUCCESS', 3));
  await backend.saveGroup('g', [['g', null], [[['a', null], null]]]);
  expect(await raw.get('celery-task-meta-a')).toBe(
    '{"status": "SUCCESS", "result": 3, "traceback": null, "children": [], "date_done": null, "task_id": "a"}',
  );
  expect(await raw.get('celery-taskset-meta-g')).toBe('{"result": [["g", null], [[["a", null], null]]]}');
  expect(await raw.ttl('celery-task-meta-a')).toBeGreaterThan(86_000);
  await using prefixed = open({ global_keyprefix: 'tenant' }, null);
  await prefixed.store(record('b', 'STARTED'));
  expect(await raw.ttl('tenant_celery-task-meta-b')).toBe(-1);
});

test('a success is never overwritten, whoever wrote it and however', async () => {
  await using backend = open();
  const kept = [
    '{"status": "SUCCESS", "result": 1}',
    '{"status":"SUCCESS","result":1}',
    '{"result": 1, "status": "SUCCESS"}',
    'children: []\nresult: 1\nstatus: SUCCESS\ntask_id: a\n',
    '"status": "SUCCESS"\n"result": 1\n',
  ];
  for (const stored of kept) {
    await raw.set('celery-task-meta-a', stored);
    await backend.store(record('a', 'FAILURE'));
    expect(await raw.get('celery-task-meta-a')).toBe(stored);
  }
  for (const stored of ['{"status": "STARTED", "result": {"status": "SUCCESS"}}', 'nonsense', 'status: STARTED\n']) {
    await raw.set('celery-task-meta-a', stored);
    await backend.store(record('a', 'FAILURE'));
    expect(await raw.get('celery-task-meta-a')).toContain('"FAILURE"');
  }
});

test('writes of one tick travel together', async () => {
  await using backend = open();
  await backend.store(record('first', 'SUCCESS'));
  const before = await commands();
  await Promise.all(Array.from({ length: 100 }, (_, i) => backend.store(record(String(i), 'SUCCESS', i))));
  expect((await commands()) - before).toBe(1);
  expect(await raw.exists(...Array.from({ length: 100 }, (_, i) => `celery-task-meta-${i}`))).toBe(100);
});

async function commands(): Promise<number> {
  const stats = await raw.info('commandstats');
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

test('two thousand waiters hear of their results although their subscriptions are cut', async () => {
  await using waiting = open();
  await using storing = open();
  const seen = new Set<string>();
  const watches = Array.from({ length: 2000 }, (_, i) =>
    waiting.watch(String(i), ({ taskId, status }) => {
      if (status === 'SUCCESS') seen.add(taskId);
    }),
  );
  await Promise.all(watches.map(({ ready }) => ready));
  for (let i = 0; i < 2000; i += 200) {
    const cut = raw.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await Promise.all(Array.from({ length: 200 }, (_, j) => storing.store(record(String(i + j), 'SUCCESS', j))));
    await cut;
  }
  await until(() => seen.size === 2000, 'all results');
  for (const watch of watches) watch.close();
  await until(async () => ((await raw.pubsub('CHANNELS')) as string[]).length === 0, 'no subscription is left');
});

test('a thousand waiters are told over one connection, and ask nothing', async () => {
  await using waiting = open();
  await using storing = open();
  const before = await clients();
  let seen = 0;
  const watches = Array.from({ length: 1000 }, (_, i) => {
    return waiting.watch(String(i), ({ status }) => void (seen += status === 'SUCCESS' ? 1 : 0));
  });
  await Promise.all(watches.map(({ ready }) => ready));
  // One connection listens; commands, which reads are too, have another.
  expect((await clients()) - before).toBeLessThanOrEqual(2);
  await raw.config('RESETSTAT');
  for (let i = 0; i < 1000; i += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, j) => storing.store(record(String(i + j), 'SUCCESS', j))));
  }
  await until(() => seen === 1000, 'all results');
  const stats = await raw.info('commandstats');
  expect(stats).not.toMatch(/cmdstat_m?get:/);
  expect(Number(/cmdstat_(?:un)?subscribe:calls=(\d+)/.exec(stats)?.[1] ?? 0)).toBeLessThan(20);
  for (const watch of watches) watch.close();
});

async function clients(): Promise<number> {
  return String(await raw.client('LIST'))
    .trim()
    .split('\n').length;
}

test('a server that is away for a moment is waited for; closing ends the waiting', async () => {
  await using backend = open();
  const watched: string[] = [];
  const watch = backend.watch('a', ({ status }) => watched.push(status));
  await watch.ready;
  await server.kill();
  const storing = backend.store(record('a', 'SUCCESS'));
  const other = open();
  const waiting = other.store(record('b', 'SUCCESS'));
  const refused = expect(waiting).rejects.toThrow(/closed/);
  await other.close();
  await refused;
  await server.restart();
  await storing;
  await until(() => watched.includes('SUCCESS'), 'the result arrives over the new subscription');
});

test('what Python stored is read, and written again as it was', async () => {
  // Celery's filesystem backend keeps the same texts under the same names.
  const vector = JSON.parse(
    readFileSync(new URL('../vectors/5.6/backends/filesystem/files.json', import.meta.url), 'utf8'),
  ) as { raw: { files: Record<string, { text: string }> } };
  const texts = Object.entries(vector.raw.files).filter(([name]) => name.startsWith('celery-task-meta-'));
  expect(texts.length).toBeGreaterThan(3);
  await using backend = open();
  for (const [name, { text }] of texts) {
    await raw.set(name, text);
    const id = name.slice('celery-task-meta-'.length);
    const loaded = await backend.load(id);
    expect(loaded?.taskId).toBe(id);
    await backend.forget(id);
    await backend.store(loaded as ResultRecord);
    expect(await raw.get(name)).toBe(text);
  }
});
