import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Celery, type CeleryOptions } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { missing } from '../support/available.ts';
import { until } from '../support/until.ts';
import { startRedis, type RedisServer } from './redis-support.ts';

/* How many connections an app has open, and the settings that bound them. */

const reason = missing('redis');

describe.skipIf(reason !== undefined)('connections', () => {
  let broker: RedisServer;
  let results: RedisServer;
  let admins: ReadonlyMap<RedisServer, Redis>;
  const closers: (() => unknown)[] = [];
  beforeAll(async () => {
    broker = await startRedis();
    results = await startRedis();
    admins = new Map([broker, results].map((server) => [server, server.client()]));
  });
  afterAll(async () => {
    await broker?.stop();
    await results?.stop();
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  function open(settings: CeleryOptions = {}): Celery {
    const app = new Celery({ broker: broker.url(), backend: results.url(), env: {}, ...settings });
    closers.push(() => app.close());
    return app;
  }

  const admin = (server: RedisServer): Redis => admins.get(server) as Redis;

  /** Besides the one that asks. */
  async function connections(server: RedisServer): Promise<number> {
    const list = String(await admin(server).client('LIST'))
      .trim()
      .split('\n');
    return list.length - 1;
  }

  async function startWorker(): Promise<void> {
    const app = open();
    app.task('add', (x: number, y: number) => x + y);
    const worker = new Worker(app, { concurrency: 4 });
    closers.push(() => worker.stop('cold'));
    await worker.start();
  }

  test('ten thousand calls go over one connection; with brokerPoolLimit 0 it is closed after use', async () => {
    const app = open();
    await Promise.all(Array.from({ length: 10_000 }, () => app.send('any', [], { ignoreResult: true })));
    expect(await connections(broker)).toBeLessThanOrEqual(app.conf.brokerPoolLimit as number);
    await app.close();
    await until(async () => (await connections(broker)) === 0, { message: 'nobody is connected' });
    const frugal = open({ brokerPoolLimit: 0 });
    for (let round = 0; round < 3; round++) {
      await Promise.all(Array.from({ length: 10 }, () => frugal.send('any', [], { ignoreResult: true })));
      await until(async () => (await connections(broker)) === 0, { message: 'it has hung up' });
    }
    expect(await admin(broker).llen('celery')).toBe(10_030);
    await admin(broker).flushdb();
  });

  test('redisMaxConnections: two carry every wait; with one results are asked for', async () => {
    await startWorker();
    await until(async () => (await connections(results)) <= 1, { message: 'only the worker is there' });
    const before = await connections(results);
    for (const [redisMaxConnections, push] of [
      [null, true],
      [1, false],
    ] as const) {
      const app = open({ redisMaxConnections });
      const handles = await Promise.all(Array.from({ length: 20 }, (_, n) => app.send<number>('add', [n, 1])));
      const values = await Promise.all(handles.map((handle) => handle.get({ timeout: '30s', interval: '50ms' })));
      expect(values).toEqual(handles.map((_, n) => n + 1));
      expect((await app.backend()).capabilities.push).toBe(push);
      // The worker's connection for results may have been opened meanwhile.
      expect((await connections(results)) - Math.max(before, 1)).toBeLessThanOrEqual(redisMaxConnections ?? 2);
      await app.close();
      await until(async () => (await connections(results)) <= 1, { message: 'only the worker is left' });
    }
  });

  test('resultCacheMax: a success that was read is not asked for again', async () => {
    await startWorker();
    const app = open({ resultCacheMax: 10 });
    const handle = await app.send<number>('add', [1, 2]);
    expect(await handle.get({ timeout: '30s' })).toBe(3);
    await admin(results).flushdb();
    expect(await app.result<number>(handle.id).get({ timeout: '10s' })).toBe(3);
    expect(await open().result(handle.id).state()).toBe('PENDING');
  });
});
