import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InvalidTaskError } from '../errors.ts';
import { isoWriter, parseIso, toIso } from './time.ts';

test.each([
  [0, undefined, '1970-01-01T00:00:00+00:00'],
  [1795326384561.769, undefined, '2026-11-22T05:46:24.561769+00:00'],
  [1795326384561, null, '2026-11-22T05:46:24.561000+00:00'],
  [1795326384000, 'UTC', '2026-11-22T05:46:24+00:00'],
  [1795326384000, 'Europe/Paris', '2026-11-22T06:46:24+01:00'],
  [1783326384000, 'Europe/Paris', '2026-07-06T10:26:24+02:00'],
  [1795326384000, 'America/St_Johns', '2026-11-22T02:16:24-03:30'],
  [-1500, undefined, '1969-12-31T23:59:58.500000+00:00'],
])('%d ms in %s is %s', (ms, zone, iso) => {
  expect(toIso(ms, zone)).toBe(iso);
});

test.each([
  ['2026-01-01', Date.UTC(2026, 0, 1)],
  ['20260101T000000Z', Date.UTC(2026, 0, 1)],
  ['2026-01-01T12:30', Date.UTC(2026, 0, 1, 12, 30)],
  ['2026-01-01 12:30:15', Date.UTC(2026, 0, 1, 12, 30, 15)],
  ['2026-01-01T12:30:15.123Z', Date.UTC(2026, 0, 1, 12, 30, 15, 123)],
  ['2026-01-01T12:30:15,1234567891', Date.UTC(2026, 0, 1, 12, 30, 15, 123) + 0.456],
  ['2026-01-01T12:30:15+01:00', Date.UTC(2026, 0, 1, 11, 30, 15)],
  ['2026-01-01T12:30:15-0330', Date.UTC(2026, 0, 1, 16, 0, 15)],
  ['2026-01-01T12:30:15+02', Date.UTC(2026, 0, 1, 10, 30, 15)],
])('%s is read', (text, ms) => {
  expect(parseIso(text)).toBeCloseTo(ms, 3);
});

test.each([
  '',
  'tomorrow',
  '2026-02-30',
  '2026-13-01',
  '2026-01-01T25:00',
  '2026-1-1',
  '2026-W01-1',
  1795326384,
  null,
  '2026-01-01T12:30:15+25:00',
])('%j is refused', (value) => {
  expect(() => parseIso(value)).toThrow(InvalidTaskError);
});

test('what is written is read back to the microsecond', () => {
  const zones = ['UTC', 'Asia/Kathmandu', 'America/New_York'].map((zone) => isoWriter(zone));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e15 }), fc.constantFrom(...zones), (micros, write) => {
      expect(Math.round(parseIso(write(micros / 1000)) * 1000)).toBe(micros);
    }),
  );
});

test('any text gives a number or InvalidTaskError', () => {
  const near = fc.string({ unit: fc.constantFrom(...'0123456789-:.,TZ+ '.split('')), maxLength: 30 });
  fc.assert(
    fc.property(fc.oneof(fc.string(), near), (text) => {
      try {
        expect(Number.isFinite(parseIso(text))).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidTaskError);
      }
    }),
    { numRuns: 2000 },
  );
});
