import { expect, test } from 'vitest';
import { Celery } from '../index.ts';
import { TimerQueue } from '../runtime/timers.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { RateLimits } from './rate-limit.ts';
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
