import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { every } from '../../src/index.ts';
import { Zone } from '../../src/schedules/zone.ts';
import { missing, olderThan } from '../support/available.ts';
import { PYTHON } from '../support/global-setup.ts';

/*
 * Intervals beside Celery's, in zones that change their clocks.
 *
 * Celery adds an interval to the time on the wall. Where the clock changes in between, that is an hour more or less than
 * the interval (ten seconds become an hour and ten seconds in autumn); ours is as long as it says. An interval that is
 * aligned to days counts days in both.
 */

const reason = missing('python') ?? olderThan(5, 5);
const SCRIPT = fileURLToPath(new URL('../support/python/interval_next.py', import.meta.url));
const SEED = 20_261_125;
const CASES = 4000;
const DAY_MS = 86_400_000;

const ZONES = ['UTC', 'Europe/Paris', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'Pacific/Chatham'];
const CHANGES = [
  Date.UTC(2026, 2, 29),
  Date.UTC(2026, 9, 25),
  Date.UTC(2026, 2, 8),
  Date.UTC(2026, 10, 1),
  Date.UTC(2026, 3, 5),
];
const moment = fc.oneof(
  fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2030, 0, 1) }),
  fc.tuple(fc.constantFrom(...CHANGES), fc.integer({ min: -DAY_MS, max: 2 * DAY_MS })).map(([at, by]) => at + by),
);
const length = fc.oneof(
  fc.integer({ min: 1, max: 120 }).map((n) => n * 1000),
  fc.integer({ min: 1, max: 300 }).map((n) => n * 60_000),
  fc.integer({ min: 1, max: 72 }).map((n) => n * 3_600_000),
  fc.integer({ min: 1, max: 14 }).map((n) => n * DAY_MS),
);
const cases = fc.record({ every: length, relative: fc.boolean(), timezone: fc.constantFrom(...ZONES), last: moment });

describe.skipIf(reason !== undefined)('intervals beside Python', () => {
  test(`${CASES} random ones have the same next run`, { timeout: 120_000 }, () => {
    const all = fc.sample(cases, { seed: SEED, numRuns: CASES });
    const options = { input: JSON.stringify(all), encoding: 'utf8', maxBuffer: 2 ** 26 } as const;
    const expected = JSON.parse(execFileSync(PYTHON, [SCRIPT], options)) as number[];
    let changed = 0;
    for (const [i, one] of all.entries()) {
      const { timezone, last, relative } = one;
      const next = every(one.every, { relative }).next(last, { nowMs: last, timezone });
      expect(next, JSON.stringify(one)).toBeGreaterThan(last - (relative ? 1000 : 0));
      const zone = new Zone(timezone);
      const python = expected[i] as number;
      const sameOffset = [python, next, last + one.every].every((ms) => zone.offset(ms) === zone.offset(last));
      // A wall-clock time that comes twice: Celery takes the first.
      const twice = [-3_600_000, 3_600_000].some((by) => zone.offset(last + by) !== zone.offset(last));
      if ((sameOffset && !twice) || (relative && one.every >= DAY_MS)) expect(next, JSON.stringify(one)).toBe(python);
      else changed++;
      if (!relative) expect(next).toBe(last + one.every);
    }
    console.log(
      `intervals: ${CASES} random cases (seed ${SEED}), ${changed} over a change of the clock, the others equal Python's`,
    );
    expect(changed).toBeLessThan(CASES / 2);
  });
});

test('an aligned interval goes on through the hour that comes twice', () => {
  const hourly = every('1h', { relative: true });
  const timezone = 'Europe/Paris';
  let last = Date.UTC(2026, 9, 24, 22, 10); // 00:10 in summer time
  const hours = Array.from({ length: 5 }, () => (last = hourly.next(last, { nowMs: last, timezone })));
  expect(hours.map((ms) => new Date(ms).toISOString().slice(11, 16))).toEqual([
    '23:00',
    '00:00',
    '01:00',
    '02:00',
    '03:00',
  ]);
});
