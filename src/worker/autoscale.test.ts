import { expect, test } from 'vitest';
import { silentLogger } from '../runtime/logger.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { Autoscaler, parseAutoscale, type AutoscaleOptions } from './autoscale.ts';

function scaled(options: AutoscaleOptions) {
  const clock = new ManualClock();
  const pool = { current: options.min, quantity: 0, latencyMs: 0, slots: 1, windows: 0 };
  const autoscaler = new Autoscaler(
    {
      clock,
      log: silentLogger,
      get current() {
        return pool.current;
      },
      get slots() {
        return pool.slots;
      },
      get quantity() {
        return pool.quantity;
      },
      get latencyMs() {
        return pool.latencyMs;
      },
      grow: (by) => void (pool.current += by),
      maxChanged: () => void pool.windows++,
    },
    options,
  );
  return { clock, pool, autoscaler };
}

test('grows with the load up to the bound, shrinks a keepalive after it grew', async () => {
  const { clock, pool, autoscaler } = scaled({ min: 2, max: 5, keepalive: '30s' });
  autoscaler.start();
  pool.quantity = 4;
  autoscaler.check();
  expect(pool.current).toBe(4);
  pool.quantity = 50;
  autoscaler.check();
  expect(pool.current).toBe(5);
  pool.quantity = 1;
  await clock.advance(30_000);
  expect(pool.current).toBe(5);
  await clock.advance(2_000);
  expect(pool.current).toBe(2);
  expect(autoscaler.info()).toEqual({ max: 5, min: 2, current: 2, qty: 1 });
  autoscaler.stop();
});

test('never shrinks before it grew, and counts children, not slots', () => {
  const { pool, autoscaler } = scaled({ min: 1, max: 10 });
  pool.current = 4;
  autoscaler.check();
  expect(pool.current).toBe(4);
  pool.slots = 10;
  pool.quantity = 61;
  autoscaler.check();
  expect(pool.current).toBe(7);
});

test('by latency: grows while tasks wait too long, not by their number', () => {
  const { pool, autoscaler } = scaled({ min: 1, max: 8, policy: 'latency', latency: '2s' });
  pool.quantity = 100;
  pool.latencyMs = 1_500;
  autoscaler.check();
  expect(pool.current).toBe(1);
  const seen = [];
  pool.latencyMs = 2_500;
  for (let i = 0; i < 5; i++) {
    autoscaler.check();
    seen.push(pool.current);
  }
  expect(seen).toEqual([2, 3, 5, 8, 8]);
});

test('a policy of one’s own stays within the bounds', () => {
  const { pool, autoscaler } = scaled({ min: 1, max: 3, policy: () => 1_000 });
  autoscaler.check();
  expect(pool.current).toBe(3);
});

test('new bounds are in force at once', () => {
  const { pool, autoscaler } = scaled({ min: 1, max: 10 });
  pool.quantity = 8;
  autoscaler.check();
  expect(autoscaler.update(4, undefined)).toEqual([4, 1]);
  expect(pool.current).toBe(4);
  expect(autoscaler.update(20, 6)).toEqual([20, 6]);
  expect(pool.current).toBe(6);
  expect(pool.windows).toBe(2);
});

test.each([
  ['10,3', 10, 3],
  ['3,10', 10, 3],
  [' 4 ', 4, 0],
  ['2 , 2', 2, 2],
])('--autoscale=%s', (text, max, min) => {
  expect(parseAutoscale(text)).toEqual({ max, min });
});

test.each(['', '0', 'a,b', '1,2,3', '-1,2', '1.5'])('--autoscale=%s is refused', (text) => {
  expect(() => parseAutoscale(text)).toThrow(/expected max,min/);
});
