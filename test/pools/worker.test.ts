import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { exchange, queue, type CeleryError } from '../../src/index.ts';
import type { Worker } from '../../src/worker/index.ts';
import { until } from '../support/until.ts';
import { failures } from './app.ts';
import { mixedApp } from './mixed-app.ts';
import { get, start } from './support.ts';

/* Whole workers whose children are real processes and threads, on the embedded broker. */

const mixed = fileURLToPath(new URL('./mixed-app.ts', import.meta.url));

const codeOf = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => undefined,
    (error: unknown) => (error as CeleryError).code,
  );
const pids = (worker: Worker): number[] => [...worker.processes];

describe.each(['process', 'thread'])('%s pool in a worker', (pool) => {
  test('values, errors, retries, states, logs, callbacks and what tasks send', async () => {
    const { app, lines } = await start({ pool });
    const failures: string[] = [];
    app.on('taskFailure', ({ record }) => void failures.push(record.exc_type));
    expect(await get(app, 'add', [2, 3])).toBe(5);
    expect(await get(app, 'echo', [{ at: new Date(0), big: 2n ** 70n }])).toEqual({ at: new Date(0), big: 2n ** 70n });
    await expect(get(app, 'boom', ['bad'])).rejects.toMatchObject({ type: 'RangeError', args: ['bad'] });
    expect(failures).toEqual(['RangeError']);
    expect(await get(app, 'again', [])).toBe(2);
    const step = await app.send('step', []);
    await until(async () => (await step.snapshot()).state === 'CUSTOM' || (await step.ready()), {
      message: 'a state',
    });
    expect(await step.get({ timeout: '30s' })).toBe('whole');
    await until(() => lines.some(({ message, fields }) => message === 'half way' && fields['at'] === 1));
    await until(() => lines.some(({ message, fields }) => message === 'at 2' && fields['taskId'] === step.id));
    const parent = await app.send('parent', []);
    expect(await app.result(String(await parent.get({ timeout: '30s' }))).get({ timeout: '30s' })).toBe(3);
    const link = app.signature({
      task: 'echo',
      args: [],
      kwargs: {},
      options: {},
      subtask_type: null,
      immutable: false,
    });
    const linked = await app.send('add', [1, 1], { link: [link] as never });
    await linked.get({ timeout: '30s' });
    const [child] = (await linked.children()) ?? [];
    expect(await child?.get({ timeout: '30s' })).toBe(2);
    expect(await get(app, 'fibonacci', [], { kwargs: { x: 1 }, headers: { mine: 'yes' } })).toEqual([
      [],
      { x: 1 },
      { mine: 'yes' },
    ]);
  });

  test('a hard limit ends a loop and keeps the pool whole; a soft one can be caught', async () => {
    const { app, worker, lines } = await start({ pool });
    const seen: string[] = [];
    app.on('taskFailure', ({ record }) => void seen.push(record.exc_type));
    const limited = get(app, 'spin', [600_000], { timeLimit: '1s' });
    expect(await codeOf(limited)).toBe('ERR_TIME_LIMIT');
    expect(seen).toEqual(['TimeLimitExceeded']);
    expect(await get(app, 'reason', [600_000], { softTimeLimit: '500ms' })).toBe('SoftTimeLimitExceeded');
    await until(() => pids(worker).length === 2, { message: 'two children' });
    expect(await get(app, 'add', [1, 1])).toBe(2);
    expect(lines.filter(({ message }) => message === 'hard time limit exceeded')).toHaveLength(1);
  });

  test('a hard limit is a failure like any other: hook, errback, signal and event, each once', async () => {
    const { app, lines } = await start({ pool, taskEvents: true });
    const seen: string[] = [];
    failures.length = 0;
    app.on('taskFailure', ({ record }) => void seen.push(`signal ${record.exc_type}`));
    const connection = await (await app.transport()).connect();
    const monitor = queue('monitor', { exchange: exchange('celeryev', { type: 'topic' }), routingKey: '#' });
    const channel = await connection.channel();
    await channel.declare(monitor);
    await channel.consume(
      monitor,
      (delivery) => {
        const body = Buffer.from(delivery.message.body).toString();
        seen.push(...[...body.matchAll(/"type": ?"(task-failed)"/g)].map(([, type]) => `event ${type}`));
        void delivery.ack();
      },
      { prefetch: 0 },
    );
    const errback = { task: 'echo', args: [], kwargs: {}, options: { task_id: 'the errback' }, subtask_type: null };
    const endless = await app.send('endless', [], {
      linkError: [app.signature({ ...errback, immutable: false })] as never,
    });
    await expect(endless.get({ timeout: '30s' })).rejects.toMatchObject({ code: 'ERR_TIME_LIMIT' });
    await until(() => lines.filter(({ message }) => message === 'task succeeded').length === 1, { message: 'errback' });
    await until(() => seen.length >= 2, { message: 'signal and event' });
    expect(seen.sort()).toEqual(['event task-failed', 'signal TimeLimitExceeded']);
    expect(failures).toHaveLength(1);
    await connection.close();
  });

  test('revoke with terminate ends what runs', async () => {
    const { app, worker } = await start({ pool });
    const spinning = await app.send('spin', [600_000]);
    await until(() => worker.active === 1, { message: 'it runs' });
    await spinning.revoke({ terminate: true });
    expect(await codeOf(spinning.get({ timeout: '30s' }))).toBe('ERR_TASK_REVOKED');
    expect(await get(app, 'add', [1, 1])).toBe(2);
  });

  test('a lost child: run again as often as allowed, then dead; or failed at once', async () => {
    const { app, lines } = await start({ pool }, { maxDeliveries: 2 });
    await expect(get(app, 'exit', [3])).rejects.toMatchObject({ code: 'ERR_WORKER_LOST' });
    expect(lines.filter(({ message }) => message.startsWith('the child of a task was lost'))).toHaveLength(1);
    const early = await start({ pool }, { preset: 'celery' });
    await expect(get(early.app, 'exit', [3])).rejects.toMatchObject({
      code: 'ERR_WORKER_LOST',
      message: expect.stringMatching(/^Worker exited prematurely: exitcode 3 Job: \d+\.$/) as string,
    });
  });
});

test('SIGUSR1 is the soft limit, as in Python: the task may clean up and its child lives on', async () => {
  const { app, worker } = await start({ pool: 'process', concurrency: 1 });
  const path = join(mkdtempSync(join(tmpdir(), 'celeriac-tidy-')), 'tidied');
  const tidy = await app.send('tidies', [path]);
  await until(() => worker.active === 1, { message: 'it runs' });
  await app.control.terminate(tidy.id, { signal: 'SIGUSR1' });
  expect(await codeOf(tidy.get({ timeout: '30s' }))).toBe('ERR_TASK_REVOKED');
  const pid = await get(app, 'pid', []);
  expect(readFileSync(path, 'utf8')).toBe(`${String(pid)} SoftTimeLimitExceeded`);
  rmSync(dirname(path), { recursive: true });
});

test('a killed process: the message names the signal, its task runs again elsewhere', async () => {
  const { app, worker } = await start({ pool: 'process' });
  const slow = await app.send('sleeps', [1500]);
  await until(() => worker.active === 1, { message: 'it runs' });
  for (const pid of pids(worker)) process.kill(pid, 'SIGKILL');
  expect(await slow.get({ timeout: '40s' })).toBe('slept');
});

test('children are replaced after so many tasks, and when they use too much memory', async () => {
  const { app } = await start({ pool: 'process', concurrency: 1, maxTasksPerChild: 2 });
  const seen: unknown[] = [];
  for (let i = 0; i < 6; i++) seen.push(await get(app, 'pid', []));
  expect(new Set(seen).size).toBe(3);
  const small = await start({ pool: 'process', concurrency: 1, maxMemoryPerChild: 1 });
  const first = await get(small.app, 'pid', []);
  expect(await get(small.app, 'pid', [])).not.toBe(first);
});

test('a task may name its pool', async () => {
  const { app } = await start({ pool: 'async', appModule: mixed }, {}, mixedApp);
  expect(await get(app, 'pid', [])).toBe(process.pid);
  expect(await get(app, 'pid in a process', [])).not.toBe(process.pid);
});

test('a module that cannot be loaded, or starts a worker, ends the start with its reason', async () => {
  await expect(start({ pool: 'process', appModule: './no-such-module.ts' })).rejects.toThrow(/no module/);
  const starts = fileURLToPath(new URL('./starts-worker.ts', import.meta.url));
  await expect(start({ pool: 'process', appModule: starts })).rejects.toThrow(/starts a worker/);
  await expect(start({ pool: 'process', appModule: undefined })).rejects.toThrow(/pass appModule/);
});
