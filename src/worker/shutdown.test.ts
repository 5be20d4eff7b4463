import { afterEach, describe, expect, test } from 'vitest';
import { Celery, type CeleryOptions } from '../index.ts';
import { eventually } from '../testing/eventually.ts';
import type { StopMode } from './options.ts';
import { Worker } from './worker.ts';

/* How a worker stops, stage by stage (spec: worker-semantics.md 11). */

interface Running {
  readonly app: Celery;
  readonly worker: Worker;
  /** Lets the tasks named `wait` end. */
  readonly finish: () => void;
  readonly reasons: unknown[];
  readonly events: string[];
}

const opened: Running[] = [];

async function start(acksLate: boolean, settings: CeleryOptions = {}): Promise<Running> {
  const app = new Celery({
    broker: 'memory://',
    backend: 'memory://',
    env: {},
    workerSendTaskEvents: true,
    ...settings,
  });
  const reasons: unknown[] = [];
  const ends: (() => void)[] = [];
  const retried: unknown[] = [];
  const onRetry = (error: unknown): void => void retried.push(error);
  app.task('wait', { bind: true, acksLate, hooks: { onRetry } }, async (ctx) => {
    await new Promise<void>((resolve, reject) => {
      ends.push(resolve);
      ctx.signal.addEventListener('abort', () => {
        reasons.push(ctx.signal.reason);
        reject(ctx.signal.reason);
      });
    });
    return 'done';
  });
  app.task('deaf', { acksLate }, () => new Promise(() => {}));
  const events: string[] = [];
  const stream = app.events({ types: ['task-cancelled', 'task-failed', 'task-retried'] });
  void (async () => {
    for await (const event of stream) events.push(event.type);
  })();
  const worker = new Worker(app, { hostname: 'w@stop', concurrency: 2 });
  const running = { app, worker, finish: () => ends.splice(0).forEach((end) => end()), reasons, events, retried };
  opened.push(running);
  await worker.start();
  return running;
}

afterEach(async () => {
  for (const { app, worker } of opened.splice(0)) {
    await worker.stop('cold');
    await app.close();
  }
});

async function size(app: Celery): Promise<number> {
  const connection = await (await app.transport()).connect();
  const count = await (await connection.channel()).size('celery');
  await connection.close();
  return count;
}

/** Whether a stop is still waiting for something. */
function pending(stop: Promise<void>): () => boolean {
  let over = false;
  void stop.then(() => (over = true));
  return () => !over;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('cold', () => {
  test.each([false, true])(
    'acksLate %s: told, not failed, and back in the queue where it is unacknowledged',
    async (late) => {
      const { app, worker, reasons, events } = await start(late);
      const retries: unknown[] = [];
      app.on('taskRetry', ({ reason }) => void retries.push((reason as Error).name));
      const handles = [await app.send('wait'), await app.send('deaf')];
      await eventually(() => worker.active === 2, 'both run');
      await worker.terminate();
      expect(reasons).toMatchObject([{ name: 'ShutdownAbort' }]);
      const states = await Promise.all(handles.map(async (handle) => (await handle.snapshot()).state));
      expect(states).toEqual(late ? ['PENDING', 'PENDING'] : ['RETRY', 'RETRY']);
      expect(await size(app)).toBe(late ? 2 : 0);
      expect(retries).toEqual(late ? [] : ['ShutdownAbort', 'ShutdownAbort']);
      await eventually(() => events.length === 2, 'both events came');
      expect(events).toEqual(['task-cancelled', 'task-cancelled']);
      if (late) return;
      const record = await (await app.backend()).load(handles[0]?.id as string);
      expect(record?.result).toMatchObject({
        exc_type: 'Retry',
        exc_message: expect.arrayContaining(['cancelled by Celery']),
      });
    },
  );

  test('what succeeds in the last moment counts', async () => {
    const { app, worker, finish } = await start(true);
    app.task('tidy', { bind: true, acksLate: true }, async (ctx) => {
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      return 'tidied';
    });
    const handle = await app.send('tidy');
    await eventually(() => worker.active === 1, 'it runs');
    await worker.stop('cold');
    finish();
    expect(await handle.get({ timeout: '5s' })).toBe('tidied');
    expect(await size(app)).toBe(0);
  });
});

describe('soft', () => {
  test('what ends within the timeout is done, and ends the phase', async () => {
    const { app, worker, finish, reasons } = await start(true, { workerSoftShutdownTimeout: 600 });
    const handle = await app.send('wait');
    await eventually(() => worker.active === 1, 'it runs');
    const stopped = worker.stop('soft');
    const waits = pending(stopped);
    for (let i = 0; i < 20; i++) await turn();
    expect(waits()).toBe(true);
    finish();
    await stopped;
    expect(await handle.get({ timeout: '5s' })).toBe('done');
    expect(reasons).toEqual([]);
    expect(await size(app)).toBe(0);
  });

  test('what does not is cut short', async () => {
    const { app, worker, reasons } = await start(true);
    await app.send('wait');
    await eventually(() => worker.active === 1, 'it runs');
    await worker.stop('soft', 'test', { timeout: '20ms' });
    expect(reasons).toMatchObject([{ name: 'ShutdownAbort' }]);
    expect(await size(app)).toBe(1);
  });

  test.each<readonly [StopMode, StopMode]>([
    ['warm', 'soft'],
    ['soft', 'cold'],
    ['warm', 'cold'],
  ])('%s becomes %s', async (first, second) => {
    const { app, worker, reasons } = await start(true, { workerSoftShutdownTimeout: second === 'soft' ? 0.02 : 600 });
    await app.send('wait');
    await eventually(() => worker.active === 1, 'it runs');
    const stopped = worker.stop(first);
    const waits = pending(stopped);
    for (let i = 0; i < 20; i++) await turn();
    expect(waits()).toBe(true);
    await worker.stop(second);
    await stopped;
    expect(reasons).toHaveLength(1);
    expect(await size(app)).toBe(1);
  });

  test('an idle worker stops at once, unless it is told to wait', async () => {
    const idle = await start(true, { workerSoftShutdownTimeout: 600 });
    await idle.worker.stop('soft');
    const told = await start(true, { workerSoftShutdownTimeout: 600, workerEnableSoftShutdownOnIdle: true });
    const stopped = told.worker.stop('soft');
    const waits = pending(stopped);
    for (let i = 0; i < 20; i++) await turn();
    expect(waits()).toBe(true);
    await told.worker.stop('cold');
    await stopped;
  });
});
