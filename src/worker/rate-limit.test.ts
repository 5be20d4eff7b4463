import { expect, test } from 'vitest';
import { Celery, type CeleryOptions } from '../index.ts';
import { TimerQueue } from '../runtime/timers.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { silentLogger, type Logger } from '../runtime/logger.ts';
import { RateLimits } from './rate-limit.ts';
import { PrefetchWindow } from './window.ts';
import type { Request } from './request.ts';
import { Worker } from './worker.ts';

function limits() {
  const clock = new ManualClock();
  const startMs = clock.now();
  const released: [id: string, atMs: number][] = [];
  const rates = new RateLimits(
    new TimerQueue(clock),
    clock,
    ({ id }) => void released.push([id, clock.now() - startMs]),
  );
  const submit = (id: string, rateLimit: string | null = '10/m', name = 'task'): boolean =>
    rates.takes({ id, task: { name, options: { rateLimit } } } as unknown as Request);
  return { clock, rates, released, submit };
}

test('ten a minute: the first at once, the others six seconds apart, in their order', async () => {
  const { clock, rates, released, submit } = limits();
  expect([submit('a'), submit('b'), submit('c')]).toEqual([false, true, true]);
  expect(rates.count).toBe(2);
  await clock.advance('5s');
  expect(released).toEqual([]);
  await clock.advance('7s');
  expect(released).toEqual([
    ['b', 6_000],
    ['c', 12_000],
  ]);
  expect(rates.count).toBe(0);
});

test('an idle minute saves one token, not ten', async () => {
  const { clock, submit } = limits();
  submit('a');
  await clock.advance('60s');
  expect([submit('b'), submit('c')]).toEqual([false, true]);
});

test('no limit, and each task its own', () => {
  const { submit } = limits();
  expect([submit('a', null), submit('b', null)]).toEqual([false, false]);
  expect([submit('c', '1/h', 'one'), submit('d', '1/h', 'two'), submit('e', '1/h', 'one')]).toEqual([
    false,
    false,
    true,
  ]);
});

test('a changed limit counts for what comes; what waits goes on at the old one, and is given back at a stop', async () => {
  const { clock, rates, released, submit } = limits();
  let changes = 0;
  rates.onChange = () => changes++;
  for (const id of ['a', 'b', 'c']) submit(id);
  rates.set('task', '1/s');
  expect(submit('d')).toBe(false);
  expect(submit('e')).toBe(true);
  await clock.advance('6s');
  expect(released).toEqual([
    ['e', 1_000],
    ['b', 6_000],
  ]);
  expect(rates.clear().map(({ id }) => id)).toEqual(['c']);
  expect(rates.count).toBe(0);
  expect(changes).toBe(6);
  await clock.advance('60s');
  expect(released).toHaveLength(2);
});

test('tasks that wait for their limit do not keep others from running', async () => {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {} });
  app.task('limited', { rateLimit: '1/h' }, () => 'limited');
  app.task('free', () => 'free');
  const worker = new Worker(app, { concurrency: 1, prefetchMultiplier: 1 });
  try {
    await Promise.all(Array.from({ length: 50 }, () => app.send('limited')));
    await worker.start();
    expect(await (await app.send('free')).get({ timeout: '20s' })).toBe('free');
  } finally {
    await worker.stop('cold');
    await app.close();
  }
});

/** Moments in seconds at which the tasks of a worker under virtual time began. */
async function begun(
  settings: CeleryOptions,
  options: { readonly rateLimit?: string },
  calls: readonly { readonly countdown?: string }[],
  seconds: number,
): Promise<number[]> {
  const clock = new ManualClock(0);
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, clock, ...settings });
  const at: number[] = [];
  const limited = app.task('limited', options, () => void at.push(Math.round(clock.monotonic() / 1000)));
  const worker = new Worker(app, { concurrency: 10 });
  const starting = worker.start();
  await clock.advance('10ms');
  await starting;
  const sending = Promise.all(calls.map((call) => limited.applyAsync([], call as object)));
  await clock.advance('10ms');
  await sending;
  for (let second = 0; second < seconds; second++) await clock.advance('1s');
  const stopped = worker.stop('cold');
  await clock.advance('60s');
  await stopped;
  await app.close();
  return at;
}

test('a task with an ETA waits for its time, then for its limit', async () => {
  const calls = ['4s', '4s', '2s'].map((countdown) => ({ countdown }));
  expect(await begun({}, { rateLimit: '6/m' }, calls, 30)).toEqual([2, 12, 22]);
});

test('taskDefaultRateLimit is for tasks without one of their own', async () => {
  const settings = { taskDefaultRateLimit: '6/m' };
  expect(await begun(settings, {}, [{}, {}], 15)).toEqual([0, 10]);
  expect(await begun(settings, { rateLimit: '12/m' }, [{}, {}], 15)).toEqual([0, 5]);
});

test('the window is wider by what waits for a limit, up to a bound, which is told once', () => {
  const warned: unknown[] = [];
  const log: Logger = { ...silentLogger, warn: (fields, message) => void warned.push([fields, message]) };
  const app = new Celery({ broker: 'memory://', env: {} });
  let limited = 0;
  const window = new PrefetchWindow(app, { multiplier: 4 }, log, () => ({
    slots: 2,
    held: 3,
    limited,
    running: new Set(),
  }));
  const sizes = [0, 10, 999, 1_000, 5_000, 20].map((waiting) => ((limited = waiting), window.size));
  expect(sizes).toEqual([11, 21, 1_010, 1_011, 1_011, 31]);
  expect(warned).toEqual([[{ waiting: 1_000 }, expect.stringContaining('rate-limited tasks fill the worker')]]);
});
