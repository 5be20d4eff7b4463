import { expect, test } from 'vitest';
import { ManualClock } from '../testing/manual-clock.ts';
import { TimerQueue } from './timers.ts';

/** Its wall clock may be set, which no timer of the platform notices. */
class SetClock extends ManualClock {
  aheadMs = 0;
  override now(): number {
    return super.now() + this.aheadMs;
  }
}

test('in the order of their times, never early, and not when they were cancelled', async () => {
  const clock = new ManualClock(0);
  const timers = new TimerQueue(clock);
  const ran: [string, number][] = [];
  const at = (name: string, dueMs: number) => timers.at(dueMs, () => void ran.push([name, clock.now()]));
  at('c', 3_000.5);
  at('a', 1_000);
  const never = at('never', 1_500);
  at('b', 1_000);
  never.cancel();
  never.cancel();
  expect(timers.size).toBe(3);
  await clock.advance('4s');
  expect(ran).toEqual([
    ['a', 1_000],
    ['b', 1_000],
    ['c', 3_001],
  ]);
  expect(timers.size).toBe(0);
  expect(clock.pending).toBe(0);
});

test.each([
  [undefined, 1_000],
  [200, 200],
  [0, 10],
])('with a longest wait of %s ms, a clock that is set forward is noticed after %i ms', async (longest, noticedMs) => {
  const clock = new SetClock(0);
  const timers = new TimerQueue(clock, longest);
  const ran: number[] = [];
  timers.at(3_600_000, () => void ran.push(clock.monotonic()));
  clock.aheadMs = 3_600_000;
  await clock.advance(noticedMs - 1);
  expect(ran).toEqual([]);
  await clock.advance(1);
  expect(ran).toEqual([noticedMs]);
});
