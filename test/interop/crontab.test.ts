import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crontab, every, UsageError } from '../../src/index.ts';
import { missing, olderThan } from '../support/available.ts';
import { PYTHON } from '../support/global-setup.ts';

/*
 * Next runs as real Celery computes them, for random specifications and moments, around changes of the clock too.
 */

const reason = missing('python') ?? olderThan(5, 5);
const SCRIPT = fileURLToPath(new URL('../support/python/crontab_next.py', import.meta.url));
const SEED = 20_261_125;
const CASES = 10_000;

interface Case {
  /** minute, hour, day of month, month, day of week */
  readonly spec: readonly string[];
  readonly timezone: string;
  readonly last: number;
  readonly now: number;
}

const field = (min: number, max: number): fc.Arbitrary<string> => {
  const value = fc.integer({ min, max });
  const span = fc.tuple(value, value).map(([a, b]) => `${a}-${b}`);
  const stepped = fc
    .tuple(fc.oneof(fc.constant('*'), span), fc.integer({ min: 1, max: 12 }))
    .map(([r, n]) => `${r}/${n}`);
  const part = fc.oneof(value.map(String), span, stepped);
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant('*') },
    part,
    fc.array(part, { minLength: 2, maxLength: 3 }).map((p) => p.join(',')),
  );
};

/** Days that every month of the year has, or a spec that never comes would end the Python side. */
const day = fc.oneof(
  { weight: 3, arbitrary: fc.constant('*') },
  fc.constantFrom('1', '15', '28', '1-7', '*/5', '10-20/3', '28-2'),
);
const ZONES = ['UTC', 'Europe/Paris', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'America/Sao_Paulo'];
const moment = fc.oneof(
  fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2030, 0, 1) }),
  // Within a day of a change of the clock in Paris or New York.
  fc
    .tuple(
      fc.constantFrom(...[Date.UTC(2026, 2, 29), Date.UTC(2026, 9, 25), Date.UTC(2026, 2, 8), Date.UTC(2026, 10, 1)]),
      fc.integer({ min: -86_400_000, max: 2 * 86_400_000 }),
    )
    .map(([at, by]) => at + by),
);
const cases: fc.Arbitrary<Case> = fc.record({
  spec: fc.tuple(field(0, 59), field(0, 23), day, field(1, 12), field(0, 6)),
  timezone: fc.constantFrom(...ZONES),
  last: moment,
  now: fc.constant(0),
});

describe.skipIf(reason !== undefined)('crontab beside Python', () => {
  test('10,000 random specifications have the same next run', { timeout: 240_000 }, () => {
    const ahead = fc.sample(fc.integer({ min: 0, max: 3 * 86_400_000 }), { seed: SEED, numRuns: CASES });
    const all = fc.sample(cases, { seed: SEED, numRuns: CASES }).map((one, i) => {
      const last = Math.floor(one.last / 1000) * 1000;
      return { ...one, last, now: last + Math.floor((ahead[i] as number) / 1000) * 1000 };
    });
    const expected = JSON.parse(
      execFileSync(PYTHON, [SCRIPT], { input: JSON.stringify(all), encoding: 'utf8', maxBuffer: 2 ** 26 }),
    ) as (number | string)[];
    const differing = all.flatMap(({ spec, timezone, last, now }, i) => {
      const next = crontab(spec.join(' '), { timezone }).next(last, { nowMs: now, timezone });
      return next === expected[i]
        ? []
        : [
            {
              spec: spec.join(' '),
              timezone,
              last: new Date(last),
              now: new Date(now),
              next: new Date(next),
              python: new Date(expected[i] as number),
            },
          ];
    });
    console.log(`crontab: ${CASES} random cases (seed ${SEED}), ${differing.length} differ from Python`);
    expect(differing.slice(0, 10)).toEqual([]);
  });
});

describe('crontab', () => {
  const set = (spec: string): number[] => [...crontab(`${spec} * * * *`).minute];
  test.each([
    ['1,13,30-45/5', [1, 13, 30, 35, 40, 45]],
    ['*/20', [0, 20, 40]],
    ['58-1', [58, 59, 0, 1]],
    ['58-2/2', [58, 0, 2]],
  ])('minutes %s', (spec, minutes) => expect(set(spec)).toEqual(minutes));

  test('names of days and months', () => {
    expect([...crontab('0 0 * jan,mar fri-mon').dayOfWeek]).toEqual([5, 6, 0, 1]);
    expect([...crontab('0 0 * jan,mar fri-mon').monthOfYear]).toEqual([1, 3]);
  });

  test.each([
    '60 * * * *',
    '5/2 * * * *',
    '*/0 * * * *',
    '* * 0 * *',
    '* * * * 7',
    '* * * foo *',
    ', * * * *',
    '* * * *',
  ])('refuses %s', (spec) => expect(() => crontab(spec)).toThrow(UsageError));

  test('a day that no month has is refused when asked for', () => {
    expect(() => crontab('0 0 31 2 *').next(0, { nowMs: 0, timezone: 'UTC' })).toThrow(/never comes/);
  });

  test('all three day fields have to match', () => {
    const next = crontab('0 0 1-7 * mon').next(Date.UTC(2024, 0, 1), { nowMs: Date.UTC(2024, 0, 1), timezone: 'UTC' });
    expect(new Date(next)).toEqual(new Date(Date.UTC(2024, 1, 5)));
    expect(new Date(crontab('0 0 29 2 *').next(Date.UTC(2024, 1, 29), { nowMs: 0, timezone: 'UTC' }))).toEqual(
      new Date(Date.UTC(2028, 1, 29)),
    );
  });
});

test('a relative interval falls on the clock', () => {
  const last = Date.UTC(2026, 0, 1, 9, 35, 17);
  expect(every('1h', { relative: true }).next(last, { nowMs: last, timezone: 'UTC' })).toBe(Date.UTC(2026, 0, 1, 10));
  expect(every('1h').next(last, { nowMs: last, timezone: 'UTC' })).toBe(last + 3_600_000);
});
