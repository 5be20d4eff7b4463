import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../errors.ts';
import { solar, type SolarEvent } from './solar.ts';

/** Moments in seconds; `next` is null where the sun does not do it that day. `record-solar.py` made them with Celery. */
type Case = readonly [event: SolarEvent, latitude: number, longitude: number, last: number, next: number | null];
const file = new URL('../../test/fixtures/celery-5.6-solar.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { readonly cases: readonly Case[] };

const TOLERANCE_MS = 60_000;

describe('solar', () => {
  test('every event at 60 places is within a minute of what Celery and ephem give', () => {
    let most = 0;
    let polar = 0;
    for (const [event, latitude, longitude, last, next] of cases) {
      const ours = solar(event, latitude, longitude).next(last * 1000);
      const where = `${event} at ${latitude}, ${longitude} after ${new Date(last * 1000).toISOString()}`;
      if (next === null) {
        polar++;
        expect(ours - last * 1000, where).toBeGreaterThan(86_400_000 - TOLERANCE_MS);
      } else {
        const apart = Math.abs(ours - next * 1000);
        expect(apart, where).toBeLessThanOrEqual(TOLERANCE_MS);
        most = Math.max(most, apart);
      }
    }
    console.log(
      `solar: ${cases.length - polar} events at most ${(most / 1000).toFixed(1)} s from Celery's, ${polar} without one that day`,
    );
    expect(cases.length - polar).toBeGreaterThan(500);
    expect(polar).toBeGreaterThan(20);
  });

  test('each event once: the next is searched from the last', () => {
    const sunset = solar('sunset', 48.8566, 2.3522);
    let at = Date.UTC(2026, 0, 1);
    const days = Array.from({ length: 30 }, () => new Date((at = sunset.next(at))).toISOString().slice(0, 10));
    expect(days).toEqual(
      Array.from({ length: 30 }, (_, i) => new Date(Date.UTC(2026, 0, 1 + i)).toISOString().slice(0, 10)),
    );
  });

  test('a polar night ends', () => {
    const rise = solar('sunrise', 78.2232, 15.6267).next(Date.UTC(2026, 10, 20));
    expect(new Date(rise).toISOString()).toMatch(/^2027-02-1/);
    expect(Number.isFinite(solar('sunrise', 90, 0).next(0))).toBe(true);
  });

  test.each([
    ['sunrize', 0, 0, /no event "sunrize"; there are dawn_astronomical/],
    ['sunrise', 91, 0, /latitude is from -90 to 90, got 91/],
    ['sunrise', 0, -181, /longitude is from -180 to 180, got -181/],
    ['sunrise', NaN, 0, /latitude/],
  ])('refuses %s at %d, %d', (event, latitude, longitude, message) => {
    expect(() => solar(event as SolarEvent, latitude, longitude)).toThrow(UsageError);
    expect(() => solar(event as SolarEvent, latitude, longitude)).toThrow(message);
  });

  test('as Celery prints it', () => {
    expect(String(solar('sunset', 48.5, -2))).toBe('<solar: sunset at latitude 48.5, longitude: -2>');
  });
});
