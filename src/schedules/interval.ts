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

const UNITS: readonly (readonly [string, number])[] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
];

/** Runs a fixed time after the last run; runs that were missed are not made up. Source: `celery.schedules.schedule`. */
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
    const ends = lastRunMs + this.everyMs;
    return this.relative ? this.#align(ends, timezone) : ends;
  }

  /** Source: `celery.utils.time.delta_resolution`. */
  #align(ms: number, timezone: string): number {
    const unit = UNITS.find(([name, unitMs]) => name !== 'second' && this.everyMs >= unitMs)?.[0];
    if (unit === undefined) return Math.floor(ms / 1000) * 1000;
    const zone = new Zone(timezone);
    const { year, month, day, hour, minute } = zone.wall(ms);
    if (unit === 'day') return zone.instant(year, month, day, 0, 0);
    return zone.instant(year, month, day, hour, unit === 'hour' ? 0 : minute);
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
