import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery, type AsyncResult } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { poolApp } from '../pools/app.ts';
import { appModule } from '../pools/support.ts';
import { missing } from '../support/available.ts';
import { withoutLeaks } from '../support/leaks.ts';
import { startRabbit, type RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';

/* After close() nothing keeps the process alive: no socket, no timer, no child. */

let folder: string;
let redis: RedisServer | undefined;
let rabbit: RabbitServer | undefined;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'celeriac-leaks-'));
  if (missing('redis') === undefined) redis = await startRedis();
  if (missing('rabbitmq') === undefined) rabbit = await startRabbit();
});
afterAll(async () => {
  await redis?.stop();
  await rabbit?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const places = (): Readonly<Record<string, string | undefined>> => ({
  memory: 'memory://',
  sqlite: `sqlite:///${folder}/leaks.db`,
  redis: redis?.url(0),
  rabbitmq: rabbit?.url(),
});

test('what is left open is noticed', async () => {
  const server = createServer();
  const leaking = withoutLeaks(async () => {
    server.listen(0);
    await once(server, 'listening');
  }, 200);
  await expect(leaking).rejects.toThrow('left open: 1 TCPServerWrap');
  server.close();
});

/** A bit of everything: tasks, results pushed and abandoned, retries, remote control, events. */
async function everything(url: string): Promise<void> {
  const backend = url.startsWith('amqp') ? 'rpc://' : url;
  const app = new Celery({ broker: url, backend, env: {}, taskSendSentEvent: true, workerSendTaskEvents: true });
  const add = app.task('add', (x: number, y: number) => x + y);
  const flaky = app.task('flaky', { bind: true }, (ctx): number => {
    if (ctx.retries < 1) throw ctx.retry({ countdown: '50ms' });
    return ctx.retries;
  });
  const worker = new Worker(app, { hostname: 'leaks@test', concurrency: 2 });
  await worker.start();
  const results = await Promise.all([add.delay(1, 2), add.delay(3, 4), flaky.delay()]);
  expect(await Promise.all(results.map((result) => result.get({ timeout: '20s' })))).toEqual([3, 7, 1]);
  const later = await add.applyAsync([1, 1], { countdown: '1h' });
  await later.get({ timeout: '50ms' }).catch(() => {});
  const never = later.get({ signal: AbortSignal.timeout(50) }).catch(() => {});
  await app.control.inspect({ timeout: '5s', destination: ['leaks@test'] }).ping();
  await never;
  await later.revoke();
  await worker.stop('warm');
  await worker.stop('cold');
  await app.close();
  await app.close();
}

describe.each(['memory', 'sqlite', 'redis', 'rabbitmq'])('%s', (name) => {
  test('app and worker leave nothing open', async (context) => {
    const url = places()[name];
    if (url === undefined) return context.skip();
    await everything(url); // what is loaded once stays: not a leak
    await withoutLeaks(() => everything(url));
    if (redis !== undefined && name === 'redis') {
      const client = redis.client();
      await until(
        async () =>
          String(await client.client('LIST'))
            .trim()
            .split('\n').length === 1,
        {
          message: 'only the asking client is connected',
        },
      );
    }
  });

  test('a process that closes its app ends by itself', async (context) => {
    const url = places()[name];
    if (url === undefined) return context.skip();
    const script = fileURLToPath(new URL('./closing.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script, url], { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    const ended = once(child, 'exit') as Promise<[number | null]>;
    try {
      await until(() => out.includes('closed') || child.exitCode !== null, { message: 'it closed its app' });
      await until(() => child.exitCode !== null, { message: 'it ends', timeoutMs: 10_000 });
    } finally {
      child.kill('SIGKILL');
    }
    expect([await ended, out.trim()]).toEqual([[0, null], 'closed 3']);
  });
});

describe.each(['process', 'thread'] as const)('pool %s', (pool) => {
  const round = async (): Promise<void> => {
    const url = `sqlite:///${folder}/pool-${pool}.db`;
    const before = { ...process.env };
    Object.assign(process.env, { CELERY_BROKER_URL: url, CELERY_RESULT_BACKEND: url });
    try {
      const app = poolApp();
      const worker = new Worker(app, { pool, concurrency: 2, appModule });
      await worker.start();
      const send = (name: string, ...args: unknown[]): Promise<AsyncResult<unknown>> => app.send(name, args);
      const results = await Promise.all([send('add', 1, 2), send('boom', 'x'), send('again')]);
      const settled = await Promise.allSettled(results.map((result) => result.get({ timeout: '30s' })));
      expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      await worker.stop('warm');
      await app.close();
    } finally {
      process.env = before;
    }
  };

  test('leaves no child, channel or timer', async () => {
    await round();
    await withoutLeaks(round);
  });
});
