import { describe, expect, test } from 'vitest';
import { Celery, TimeLimitExceeded } from '../../src/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { poolApp } from '../pools/app.ts';
import { start } from '../pools/support.ts';
import { missing } from '../support/available.ts';
import { celeryCli, pythonCalls, pythonWorker, type PythonCall } from '../support/python.ts';
import { until } from '../support/until.ts';

/* Python sends to a worker whose tasks run in child processes, and sees what it would see of its own prefork pool. */

const reason = missing('redis') ?? missing('python');

describe.skipIf(reason !== undefined)(`pools and Python${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  test('values, kinds of failure, and the command line', { timeout: 120_000 }, async () => {
    const redis = await startRedis();
    try {
      const side = { broker: redis.url(0), backend: redis.url(0) };
      const { worker } = await start({ pool: 'prefork' }, { preset: 'celery' }, poolApp, redis.url(0));
      const call = (name: string, ...args: unknown[]): PythonCall => ({ name, args });
      const [sum, boom, endless, exit] = await pythonCalls(side, [
        call('add', 2, 3),
        call('boom', 'bad'),
        call('endless'),
        call('exit', 3),
      ]);
      expect(sum).toMatchObject({ state: 'SUCCESS', value: 5 });
      expect(boom).toMatchObject({ state: 'FAILURE', error: 'RangeError', args: ['bad'] });
      expect(endless).toMatchObject({ state: 'FAILURE', error: 'TimeLimitExceeded', args: ['1'] });
      expect(exit).toMatchObject({ state: 'FAILURE', error: 'WorkerLostError' });
      expect(exit).toMatchObject({
        args: [expect.stringMatching(/^Worker exited prematurely: exitcode 3 Job: \d+\.$/) as string],
      });
      const grown = await celeryCli(side, 'control', 'pool_grow', '1');
      expect(grown.stdout).toContain('pool will grow');
      const stats = await celeryCli(side, 'inspect', 'stats', '--json');
      const { 'w@pools': mine } = JSON.parse(stats.stdout) as Record<string, { pool: { processes: number[] } }>;
      expect(mine?.pool.processes).toHaveLength(3);
      expect(mine?.pool.processes).not.toContain(process.pid);
      expect(worker.processes).toHaveLength(3);
    } finally {
      await redis.stop();
    }
  });

  test(
    "Python's own pool takes our limits: the soft one first, then the other kills",
    { timeout: 120_000 },
    async () => {
      const redis = await startRedis();
      try {
        const side = { broker: redis.url(0), backend: redis.url(0) };
        await using python = await pythonWorker(side, { pool: 'prefork' });
        await using app = new Celery({ broker: side.broker, backend: side.backend, env: {} });
        const sent = await app.send('py.stubborn', [], { softTimeLimit: '1s', timeLimit: '4s' });
        const states: string[] = [];
        for await (const one of sent.updates({ signal: AbortSignal.timeout(60_000) }))
          states.push(one.state === 'CUSTOM' ? one.name : one.state);
        expect(states).toEqual(['SOFT', 'FAILURE']);
        const error = await sent.get({ timeout: '10s' }).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(TimeLimitExceeded);
        const logged = /Soft time limit \(1s\) exceeded[^]*Hard time limit \(4s\) exceeded/;
        await until(() => logged.test(python.log()), { message: 'Python says which limits came' });
      } finally {
        await redis.stop();
      }
    },
  );
});
