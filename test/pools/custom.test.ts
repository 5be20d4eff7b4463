import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { Celery, ImproperlyConfigured, type CeleryOptions } from '../../src/index.ts';
import { poolContract } from '../../src/testing/pool-contract.ts';
import { poolContractApp } from '../../src/testing/index.ts';
import { Worker, type WorkerOptions } from '../../src/worker/index.ts';
import { poolFrom } from '../../src/pools/custom.ts';
import type { Logger } from '../../src/runtime/logger.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { testIo } from '../cli/io.ts';
import { autoscalePolicy, poolOf } from '../../src/cli/worker-pool.ts';
import { Session } from '../../src/cli/session.ts';
import * as exported from './counting-pool.ts';
import { CountingPool } from './counting-pool.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function workerWith(options: WorkerOptions, settings: CeleryOptions = {}): Worker {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, ...settings });
  app.task('add', (x: number, y: number) => x + y);
  const worker = new Worker(app, { hostname: 'w@custom', ...options });
  closers.push(async () => {
    await worker.stop('cold');
    await app.close();
  });
  return worker;
}

poolContract({ describe, test }, 'a pool of somebody else', async () => {
  const app = poolContractApp();
  const pool = new CountingPool(app, { concurrency: 2, hostname: 'w@contract' });
  return { pool, app, dispose: () => app.close() };
});

describe('a pool of your own', () => {
  test('runs what a worker receives, and is what inspect stats shows', async () => {
    const worker = workerWith({ pool: (app, options) => new CountingPool(app, options) });
    await worker.start();
    expect(await (await worker.app.send('add', [1, 2])).get({ timeout: '10s' })).toBe(3);
    const answers = await worker.app.control.inspect({ destination: ['w@custom'], timeout: '10s' }).stats();
    expect(answers['w@custom']?.pool).toMatchObject({ implementation: 'counting', ran: 1, 'max-concurrency': 3 });
  });

  test('from a module, by the command line or CELERY_CUSTOM_WORKER_POOL', async () => {
    const file = fileURLToPath(new URL('./counting-pool.ts', import.meta.url));
    const app = new Celery({ broker: 'memory://', env: {}, workerPool: 'custom' });
    closers.push(() => app.close());
    const session = (env: Record<string, string> = {}): Session => new Session(testIo({ env }).io);
    const named = await poolOf(session(), app, `${file}:CountingPool`);
    expect((named as (app: Celery, options: object) => unknown)(app, { concurrency: 5 })).toMatchObject({ size: 5 });
    expect(typeof (await poolOf(session({ CELERY_CUSTOM_WORKER_POOL: `${file}:CountingPool` }), app, undefined))).toBe(
      'function',
    );
    await expect(poolOf(session(), app, undefined)).rejects.toThrow('nothing says where it is');
    expect(await poolOf(session(), app, 'solo')).toBe('solo');
  });

  test('what is no pool is refused with a reason', () => {
    const app = new Celery({ broker: 'memory://', env: {} });
    closers.push(() => app.close());
    const options = { concurrency: null, hostname: 'w' };
    expect(() => poolFrom(exported, 'halfAPool', './p.ts:halfAPool')(app, options)).toThrow(
      'lacks resize, info, close',
    );
    expect(() => poolFrom(exported, 'nothing', './p.ts:nothing')).toThrow(ImproperlyConfigured);
    expect(() => workerWith({ pool: 'unknown' })).toThrow('no pool is named "unknown"');
  });
});

test('workerAutoscaler is a name, or a function of a module', async () => {
  const file = fileURLToPath(new URL('./counting-pool.ts', import.meta.url));
  const policyOf = async (workerAutoscaler?: string): Promise<unknown> => {
    await using app = new Celery({ broker: 'memory://', env: {}, ...(workerAutoscaler && { workerAutoscaler }) });
    return autoscalePolicy(new Session(testIo().io), app);
  };
  expect(await policyOf()).toBe('load');
  expect(await policyOf('latency')).toBe('latency');
  const policy = (await policyOf(`${file}:byTheHour`)) as (load: object) => number;
  expect(policy({ min: 2, quantity: 9 })).toBe(2);
  await expect(policyOf(`${file}:nothing`)).rejects.toThrow('is no function');
});

describe('the setting workerPool', () => {
  test('prefork means processes; they have to know where the app is', () => {
    expect(() => workerWith({}, { workerPool: 'prefork' })).toThrow('the process pool loads the app once more');
    const appModule = fileURLToPath(new URL('./app.ts', import.meta.url));
    expect(workerWith({ appModule }, { workerPool: 'prefork' }).pool.name).toBe('process');
    expect(workerWith({ appModule }, { preset: 'celery' }).pool.name).toBe('process');
  });

  test("Celery's default without a module is the event loop, and says so", () => {
    const warned: string[] = [];
    const log: Logger = { ...silentLogger, warn: (_, message) => void warned.push(message) };
    expect(workerWith({}, { preset: 'celery', log }).pool.name).toBe('async');
    expect(warned).toEqual([expect.stringContaining('no appModule') as string]);
  });
});
