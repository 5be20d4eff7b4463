import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { queue, type Celery, type CeleryError } from '../../src/index.ts';
import { missing } from '../support/available.ts';
import { startRabbit, type RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';
import { get, start, type Started } from './support.ts';

/*
 * A sample of what other files show on the embedded broker and on Redis: pools, limits and remote control on RabbitMQ.
 */

const reason = missing('rabbitmq');
const codeOf = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => undefined,
    (error: unknown) => (error as CeleryError).code,
  );

describe.skipIf(reason !== undefined)(
  `pools on RabbitMQ${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  { timeout: 180_000 },
  () => {
    let rabbit: RabbitServer;
    let folder: string;
    let broker: string;

    beforeAll(async () => {
      rabbit = await startRabbit();
      folder = mkdtempSync(join(tmpdir(), 'celeriac-rabbit-pools-'));
    }, 120_000);
    afterAll(async () => {
      await rabbit?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    async function begin(
      options: Parameters<typeof start>[0],
      settings: Parameters<typeof start>[1] = {},
    ): Promise<Started> {
      broker = await rabbit.vhost();
      const backend = `sqlite:///${join(folder, `${Buffer.from(broker).toString('hex').slice(-8)}.db`)}`;
      return start({ pool: 'process', ...options }, settings, undefined, { broker, backend });
    }
    const unacked = async (name = 'celery'): Promise<number> => {
      const vhost = decodeURIComponent(new URL(broker).pathname.slice(1));
      const all = await rabbit.list<{ name: string; messages: number }>('list_queues', vhost, 'name', 'messages');
      return all.find((one) => one.name === name)?.messages ?? -1;
    };
    const replyTo = async (app: Celery, command: string, args: Record<string, unknown>): Promise<unknown> =>
      (await app.control.broadcast(command, args, { reply: true, limit: 1, timeout: '20s' }))[0]?.value;

    test('limits, revocation and lost children end tasks, and every message is settled', async () => {
      const { app, worker, lines } = await begin({ taskEvents: true }, { maxDeliveries: 2 });
      expect(await get(app, 'add', [2, 3])).toBe(5);
      expect(await codeOf(get(app, 'endless', []))).toBe('ERR_TIME_LIMIT');
      expect(await get(app, 'reason', [600_000], { softTimeLimit: '300ms' })).toBe('SoftTimeLimitExceeded');
      expect(await get(app, 'again', [])).toBe(2);
      const spinning = await app.send('spin', [600_000]);
      await until(() => worker.active === 1, { message: 'it runs', timeoutMs: 60_000 });
      await spinning.revoke({ terminate: true });
      expect(await codeOf(spinning.get({ timeout: '30s' }))).toBe('ERR_TASK_REVOKED');
      expect(await codeOf(get(app, 'exit', [3]))).toBe('ERR_WORKER_LOST');
      expect(lines.filter(({ message }) => message.startsWith('the child of a task was lost'))).toHaveLength(1);
      expect(await get(app, 'add', [1, 1])).toBe(2);
      await until(async () => (await unacked()) === 0, { message: 'nothing is left', timeoutMs: 60_000 });
    });

    test('rate limit, pool size and queues follow remote control', async () => {
      const { app, worker } = await begin({ concurrency: 1 });
      expect(await replyTo(app, 'rate_limit', { task_name: 'pid', rate_limit: '1/h' })).toEqual({
        ok: 'new rate limit set successfully',
      });
      const limited = await Promise.all(Array.from({ length: 12 }, () => app.send('pid', [])));
      // One runs; the others wait beside the window, so that what has no limit comes through.
      await until(() => (worker.vitals?.waiting ?? 0) === 0 && worker.active === 0, {
        message: 'they wait',
        timeoutMs: 60_000,
      });
      expect(await get(app, 'add', [1, 1])).toBe(2);
      const ready = await Promise.all(limited.map((one) => one.ready()));
      expect(ready.filter(Boolean)).toHaveLength(1);
      expect(await replyTo(app, 'pool_grow', { n: 1 })).toEqual({ ok: 'pool will grow' });
      await until(() => worker.processes.length === 2, { message: 'two children', timeoutMs: 60_000 });
      const { 'w@pools': stats } = await app.control.inspect({ timeout: '20s', destination: ['w@pools'] }).stats();
      expect(stats?.pool).toMatchObject({ 'max-concurrency': 2 });
      expect(await replyTo(app, 'add_consumer', { queue: 'more' })).toEqual({ ok: 'add consumer more' });
      expect(await get(app, 'add', [2, 2], { queue: 'more' })).toBe(4);
    });

    test('autoscale grows and shrinks with a quorum queue, whose window is each consumer’s own', async () => {
      const { app, worker } = await begin(
        { autoscale: { min: 1, max: 3, keepalive: '1s', policy: 'latency', latency: '200ms' }, prefetchMultiplier: 1 },
        { taskQueues: [queue('celery', { arguments: { 'x-queue-type': 'quorum' } })] },
      );
      const sleepers = await Promise.all(Array.from({ length: 9 }, () => app.send('sleeps', [1_500])));
      await until(() => worker.processes.length === 3, { message: 'three children', timeoutMs: 60_000 });
      await until(() => worker.active === 3, { message: 'three run at a time', timeoutMs: 60_000 });
      expect(await Promise.all(sleepers.map((one) => one.get({ timeout: '60s' })))).toEqual(
        sleepers.map(() => 'slept'),
      );
      await until(() => worker.processes.length === 1, { message: 'one child again', timeoutMs: 60_000 });
      expect(await replyTo(app, 'autoscale', { max: 2, min: 2 })).toEqual({ ok: 'autoscale now max=2 min=2' });
      await until(() => worker.processes.length === 2, { message: 'two children', timeoutMs: 60_000 });
    });

    test('threads too', async () => {
      const { app } = await begin({ pool: 'thread' });
      expect(await get(app, 'add', [2, 3])).toBe(5);
      expect(await codeOf(get(app, 'endless', []))).toBe('ERR_TIME_LIMIT');
      expect(await get(app, 'add', [1, 1])).toBe(2);
    });
  },
);
