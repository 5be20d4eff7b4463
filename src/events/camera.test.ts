import { expect, test } from 'vitest';
import { Celery } from '../app/celery.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { runCamera } from './camera.ts';

test('pictures at their times, never two at once; cleaning; the signal ends it', async () => {
  const clock = new ManualClock();
  await using app = new Celery({ broker: 'memory://', backend: 'memory://', clock, env: {} });
  const stop = new AbortController();
  const begun = clock.now();
  const moments: number[] = [];
  let cleaned = 0;
  let develop: (() => void) | undefined;
  const running = runCamera(app, {
    every: '1s',
    maxRate: '30/m', // stricter than `every`
    cleanupEvery: '9s',
    onShutter: () => {
      moments.push(clock.now() - begun);
      if (moments.length === 2) return new Promise<void>((resolve) => void (develop = resolve));
    },
    onCleanup: () => void cleaned++,
    signal: stop.signal,
  });
  await clock.advance('9s');
  expect(moments).toEqual([2000, 4000]);
  develop?.();
  await clock.advance('4s');
  expect(moments).toEqual([2000, 4000, 11_000, 13_000]);
  expect(cleaned).toBe(1);
  stop.abort();
  await running;
  await clock.advance('10s');
  expect(moments).toHaveLength(4);
  await expect(runCamera(app, { maxRate: 'often', onShutter: () => {} })).rejects.toThrow(RangeError);
});
