import { afterEach, describe, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { faultProxy } from '../support/fault-proxy.ts';
import { until } from '../support/until.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

describe.skipIf(missing('redis') !== undefined)('remote control and a lost connection', () => {
  test('what was changed at run time is still so afterwards', { timeout: 120_000 }, async () => {
    const server = await startRedis();
    closers.push(() => server.stop());
    const proxy = await faultProxy(server.port);
    closers.push(() => proxy.close());
    const side = (port: number) => ({
      broker: `redis://127.0.0.1:${port}/0`,
      backend: server.url(1),
      log: silentLogger,
      env: {},
    });
    const app = new Celery(side(proxy.port));
    closers.push(() => app.close());
    app.task('add', (x: number, y: number) => x + y);
    let runs = 0;
    app.task('limited', () => void runs++);
    const worker = new Worker(app, { hostname: 'w@control', concurrency: 2 });
    closers.push(() => worker.stop('cold'));
    await worker.start();
    const client = new Celery(side(server.port));
    closers.push(() => client.close());
    const ask = { reply: true, limit: 1, timeout: '20s' } as const;
    const ok = async (replies: Promise<readonly { readonly value: unknown }[]>): Promise<void> =>
      expect((await replies)[0]?.value).toHaveProperty('ok');
    const queues = async (): Promise<string[]> => {
      const answers = await client.control.inspect({ destination: ['w@control'], timeout: '20s' }).activeQueues();
      return (answers['w@control'] ?? []).map(({ name }) => name).sort();
    };
    await ok(client.control.addConsumer('extra', ask));
    await ok(client.control.addConsumer('short', ask));
    await ok(client.control.cancelConsumer('short', ask));
    await ok(client.control.rateLimit('limited', '1/h', ask));
    await ok(client.control.enableEvents(ask));
    await client.control.revoke('unwanted', ask);
    await until(async () => (await queues()).join() === 'celery,extra', { message: 'the queues changed' });

    const connects = worker.vitals?.connects ?? 0;
    proxy.reset();
    await until(() => (worker.vitals?.connects ?? 0) > connects, { message: 'the worker is back', timeoutMs: 30_000 });

    expect(await queues()).toEqual(['celery', 'extra']);
    expect(await (await client.send('add', [1, 2], { queue: 'extra' })).get({ timeout: '20s' })).toBe(3);
    const unwanted = await client.send('add', [1, 2], { taskId: 'unwanted' });
    await expect(unwanted.get({ timeout: '20s' })).rejects.toMatchObject({ code: 'ERR_TASK_REVOKED' });
    const limited = await Promise.all([client.send('limited'), client.send('limited')]);
    await until(() => runs === 1, { message: 'one runs' });
    expect(await (await client.send('add', [2, 2])).get({ timeout: '20s' })).toBe(4);
    expect(runs).toBe(1);
    await client.control.revoke(limited.map(({ id }) => id));
  });
});
