import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { Ledger } from '../support/ledger.ts';
import { pythonCalls, pythonWorker, type PythonWorker } from '../support/python.ts';
import { until } from '../support/until.ts';
import { interopMatrix } from './matrix.ts';

const reason = missing('redis') ?? missing('python');

interopMatrix('Redis', reason, async () => {
  const redis = await startRedis();
  return {
    side: { broker: redis.url(0), backend: redis.url(1) },
    stored: (id) => redis.client(1).get(`celery-task-meta-${id}`),
    stop: () => redis.stop(),
  };
});

describe.skipIf(reason !== undefined)('a mixed fleet on one queue', () => {
  const COUNT = 600;

  test('loses nothing when one of each is killed', { timeout: 120_000 }, async () => {
    const redis = await startRedis();
    const reader = redis.client();
    const ledger = new Ledger();
    const side = { broker: redis.url(0), backend: redis.url(1), ledger: ledger.path };
    const ours = (name: string) => {
      const script = fileURLToPath(new URL('../support/interop-worker.ts', import.meta.url));
      const options = JSON.stringify({ ...side, name, concurrency: 4 });
      return spawn(process.execPath, ['--import', 'tsx', script, options], { stdio: ['ignore', 'pipe', 'inherit'] });
    };
    process.env['INTEROP_VISIBILITY'] = '5';
    const pythons = await Promise.all(
      ['py1@fleet', 'py2@fleet'].map((name) => pythonWorker(side, { name, concurrency: 2 })),
    );
    const nodes = ['ts1@fleet', 'ts2@fleet'].map(ours);
    const app = new Celery({
      broker: side.broker,
      backend: side.backend,
      brokerTransportOptions: { visibility_timeout: 5 },
    });
    try {
      await Promise.all(nodes.map((child) => once(child.stdout, 'data')));
      const ids = Array.from({ length: COUNT }, (_, i) => `task-${i}`);
      await Promise.all(ids.map((id) => app.send('shared.record', [id, 20], { taskId: id, ignoreResult: true })));
      await until(() => ledger.ends().size > COUNT / 4, { message: 'a quarter has run', timeoutMs: 60_000 });
      nodes[0]?.kill('SIGKILL');
      const victim = -((pythons[0] as PythonWorker).process.pid as number);
      // Celery pops a message first and records it second: a kill in between loses it, whoever else is there.
      const accounted = async (): Promise<boolean> => {
        process.kill(victim, 'SIGSTOP');
        const waiting = (await reader.call('LRANGE', 'celery', '0', '-1')) as string[];
        const held = (await reader.call('HVALS', 'unacked')) as string[];
        const there = new Set([...waiting, ...held].map((text) => /"id\\?": ?\\?"(task-\d+)/.exec(text)?.[1]));
        if (ledger.lost(ids).every((id) => there.has(id))) return true;
        process.kill(victim, 'SIGCONT');
        return false;
      };
      await until(accounted, { message: 'the Python worker is between two messages' });
      process.kill(victim, 'SIGKILL');
      await until(() => ledger.lost(ids).length === 0, { message: 'every task has ended', timeoutMs: 90_000 });
      // In flight at the kills: 4 slots × 4 fetched ahead here, 2 × 4 there.
      expect(ledger.duplicates().length).toBeLessThanOrEqual(24);
      const pids = new Set(ledger.lines().map(({ pid }) => pid));
      expect(pids.size).toBeGreaterThanOrEqual(4);
    } finally {
      delete process.env['INTEROP_VISIBILITY'];
      for (const child of nodes) child.kill('SIGKILL');
      for (const one of pythons) await one[Symbol.asyncDispose]();
      await app.close();
      await redis.stop();
      ledger.dispose();
    }
  });
});

describe.skipIf(reason !== undefined)('priorities', () => {
  const PRIORITIES = [9, 5, 0, 3, 8];
  /** kombu keeps a list for 0, 3, 6 and 9, and serves the smallest number first. */
  const SERVED = ['p0', 'p5', 'p3', 'p8', 'p9'];

  test('what one language sends the other drains in the same order', { timeout: 120_000 }, async () => {
    const redis = await startRedis();
    const ledger = new Ledger();
    const side = { broker: redis.url(0), backend: redis.url(1), ledger: ledger.path };
    const app = new Celery({ broker: side.broker, backend: side.backend, env: {} });
    const ran: string[] = [];
    app.task('ts.order', (name: string) => void ran.push(name));
    const ours = new Worker(app, { queues: ['ts'], hostname: 'ts@order', concurrency: 1, prefetchMultiplier: 1 });
    const waiting = async (queue: string): Promise<number> => {
      await using connection = await (await app.transport()).connect();
      return await (await connection.channel()).size(queue);
    };
    try {
      for (const priority of PRIORITIES) await app.send('py.record', [`p${priority}`, 1], { priority });
      await using _ = await pythonWorker(side, { concurrency: 1 });
      await until(() => ledger.ends().size === PRIORITIES.length, { message: 'Python has run all', timeoutMs: 60_000 });
      expect(ledger.lines().flatMap(({ id, what }) => (what === 'start' ? [id] : []))).toEqual(SERVED);

      const calls = pythonCalls(
        side,
        PRIORITIES.map((priority) => ({
          name: 'ts.order',
          args: [`p${priority}`],
          options: { queue: 'ts', priority },
        })),
      );
      await until(async () => (await waiting('ts')) === PRIORITIES.length, { message: 'Python has sent all' });
      await ours.start();
      await calls;
      expect(ran).toEqual(SERVED);
    } finally {
      await ours.stop('cold');
      await app.close();
      ledger.dispose();
      await redis.stop();
    }
  });
});
