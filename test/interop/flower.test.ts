import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { freePort, startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { pythonMonitor, type PythonMonitor } from '../support/python.ts';
import { until } from '../support/until.ts';

/*
 * Flower, the monitor that most Celery installations run, beside our workers on a real Redis.
 */

const reason = missing('redis') ?? missing('python') ?? missing('flower');

interface FlowerTask {
  readonly uuid: string;
  readonly name: string;
  readonly state: string;
  readonly args: string;
  readonly result: string | null;
  readonly exception: string | null;
  readonly worker: string;
}

describe.skipIf(reason !== undefined)(`Flower${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  let flower: PythonMonitor;
  let app: Celery;
  let worker: Worker;
  let address: string;

  const get = async (path: string, init?: RequestInit): Promise<unknown> => {
    const response = await fetch(`${address}${path}`, { signal: AbortSignal.timeout(20_000), ...init });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    const text = await response.text();
    return text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text;
  };
  const task = async (id: string): Promise<FlowerTask | undefined> =>
    ((await get('/api/tasks')) as Record<string, FlowerTask>)[id];

  beforeAll(async () => {
    redis = await startRedis();
    const side = { broker: redis.url(0), backend: redis.url(1) };
    app = new Celery(side);
    app.task('ts.add', (x: number, y: number) => x + y);
    // Flower asks for limits only of tasks that its own app knows.
    app.task('py.add', (x: number, y: number) => x + y);
    app.task('ts.fail', (text: string) => {
      throw new TypeError(text);
    });
    worker = new Worker(app, { hostname: 'ts@test', concurrency: 7 });
    await worker.start();
    const port = await freePort();
    address = `http://127.0.0.1:${port}`;
    flower = pythonMonitor(side, ['flower', '--address=127.0.0.1', `--port=${port}`], {
      FLOWER_UNAUTHENTICATED_API: 'true',
    });
    await until(() => get('/healthcheck').catch(() => undefined), {
      message: 'Flower answers',
      timeoutMs: 60_000,
    }).catch((error: unknown) => {
      throw new Error(flower.output(), { cause: error });
    });
  });

  afterAll(async () => {
    await flower?.[Symbol.asyncDispose]();
    await worker?.stop('cold');
    await app?.close();
    await redis?.stop();
  });

  test('shows our worker with what it consumes, registers and is', async () => {
    const workers = (await until(async () => {
      const all = (await get('/api/workers?refresh=true')) as Record<string, Record<string, unknown>>;
      return all['ts@test']?.['stats'] && all['ts@test']['registered'] ? all : undefined;
    })) as Record<string, Record<string, unknown>>;
    expect(workers['ts@test']).toMatchObject({
      active_queues: [{ name: 'celery' }],
      registered: expect.arrayContaining(['ts.add', 'ts.fail']) as unknown,
      stats: { pid: process.pid, pool: { 'max-concurrency': 7 }, broker: { transport: 'redis' } },
    });
    await until(async () => ((await get('/api/workers?status=true')) as Record<string, boolean>)['ts@test'] === true, {
      message: 'Flower heard a heartbeat',
    });
    expect(await get('/worker/ts@test')).toContain('ts@test');
  });

  test('switches task events on, and shows tasks through their states', async () => {
    // Until Flower has asked for events, tasks run unseen.
    const good = await until(async () => {
      const { id } = await app.send('ts.add', [2, 3]);
      const shown = async (): Promise<boolean> => (await task(id))?.state === 'SUCCESS';
      return until(shown, { message: 'Flower shows the success', timeoutMs: 1_000 }).then(
        () => id,
        () => undefined,
      );
    });
    expect(await task(good)).toMatchObject({ name: 'ts.add', args: '(2, 3)', result: '5', worker: 'ts@test' });
    const { id: bad } = await app.send('ts.fail', ['it broke']);
    await until(async () => (await task(bad))?.state === 'FAILURE', { message: 'Flower shows the failure' });
    expect(await task(bad)).toMatchObject({ exception: "TypeError('it broke')", worker: 'ts@test' });
    const metrics = (await get('/metrics')) as string;
    expect(metrics).toMatch(/flower_events_total\{task="ts\.add",type="task-succeeded",worker="ts@test"\} \d/);
    expect(metrics).toMatch(/flower_worker_online\{worker="ts@test"\} 1\.0/);
  });

  test('steers our worker: rate limit, pool size, a task of its own', async () => {
    const post = (path: string, body: Record<string, string>): Promise<unknown> =>
      get(path, { method: 'POST', body: new URLSearchParams(body) });
    expect(await post('/api/task/rate-limit/py.add', { workername: 'ts@test', ratelimit: '200' })).toMatchObject({
      message: 'new rate limit set successfully',
    });
    expect(await post('/api/worker/pool/grow/ts@test', { n: '1' })).toMatchObject({
      message: "Growing 'ts@test' worker's pool by 1",
    });
    await until(() => worker.pool.size === 8, { message: 'the pool grew' });
    const sent = (await get('/api/task/send-task/ts.add', {
      method: 'POST',
      body: JSON.stringify({ args: [20, 22] }),
    })) as { readonly 'task-id': string };
    expect(await app.result(sent['task-id']).get({ timeout: '10s' })).toBe(42);
  });

  test('sees it leave', async () => {
    await worker.stop();
    await until(async () => ((await get('/api/workers?status=true')) as Record<string, boolean>)['ts@test'] !== true, {
      message: 'Flower shows the worker as offline',
    });
    expect(await get('/metrics')).toMatch(/flower_worker_online\{worker="ts@test"\} 0\.0/);
  });
});
