import { UsageError } from '../errors.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { Schedule, ScheduleContext } from './schedule.ts';
import { Zone } from './zone.ts';

export interface IntervalOptions {
  /**
   * Align to the clock: a run falls on the start of a day, hour or minute, whichever the interval is at least
   * as long as. @default false
   */
  readonly relative?: boolean | undefined;
}

const DAY_MS = 86_400_000;
const UNITS: readonly (readonly [string, number])[] = [
  ['day', DAY_MS],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
];

/**
 * Runs a fixed time after the last run; runs that were missed are not made up. Source: `celery.schedules.schedule`.
 *
 * Differs: Celery adds the interval to the time on the wall, so that one over a change of the clock is an hour longer or
 * shorter. This one is as long as it says.
 */
export class Interval implements Schedule {
  readonly everyMs: number;
  readonly relative: boolean;

  constructor(everyMs: number, { relative = false }: IntervalOptions = {}) {
    if (!(everyMs > 0) || !Number.isFinite(everyMs)) {
      throw new UsageError(`an interval is longer than 0, got ${everyMs} ms: write '30s' or milliseconds`);
    }
    this.everyMs = everyMs;
    this.relative = relative;
  }

  next(lastRunMs: number, { timezone }: ScheduleContext): number {
    return this.relative ? this.#aligned(lastRunMs, timezone) : lastRunMs + this.everyMs;
  }

  /**
   * Days are counted on the wall clock. Shorter units are not: an hour that comes twice has two starts.
   * Source: `celery.utils.time.delta_resolution`.
   */
  #aligned(lastRunMs: number, timezone: string): number {
    const unitMs = UNITS.find(([, ms]) => this.everyMs >= ms)?.[1] ?? 1000;
    const zone = new Zone(timezone);
    if (unitMs === DAY_MS) {
      const end = new Date(lastRunMs + zone.offset(lastRunMs) + this.everyMs);
      return zone.instant(end.getUTCFullYear(), end.getUTCMonth() + 1, end.getUTCDate(), 0, 0);
    }
    const end = lastRunMs + this.everyMs;
    const offset = zone.offset(end);
    return Math.floor((end + offset) / unitMs) * unitMs - offset;
  }

  toString(): string {
    const [name, unitMs] = UNITS.find(([, ms]) => this.everyMs >= ms) ?? (['second', 1000] as const);
    const count = this.everyMs / unitMs;
    return `<freq: ${count.toFixed(2)} ${name}${count === 1 ? '' : 's'}>`;
  }
}

/**
 * Runs every so often.
 *
 * @param duration `'30s'`, or milliseconds
 * @example
 * app.addPeriodicTask('front-page', every('30s'), fetchPage.s('https://example.org'));
 */
export function every(duration: Duration, options?: IntervalOptions): Interval {
  return new Interval(durationMs(duration), options);
}
