/** A wall-clock moment; `weekday` 0 is Sunday, `month` 1 is January. */
export interface WallTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly weekday: number;
}

const DAY_MS = 86_400_000;

/** Wall clock of one IANA time zone. */
export class Zone {
  readonly name: string;
  readonly #format: Intl.DateTimeFormat | undefined;

  /** @throws {RangeError} when there is no such zone */
  constructor(name: string) {
    this.name = name;
    this.#format = name === 'UTC' ? undefined : wallFormat(name);
  }

  /** Milliseconds that the zone is ahead of UTC at an instant. */
  offset(ms: number): number {
    if (this.#format === undefined) return 0;
    const parts: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
    for (const { type, value } of this.#format.formatToParts(ms)) parts[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(ms / 1000) * 1000;
  }

  wall(ms: number): WallTime {
    const local = new Date(ms + this.offset(ms));
    return {
      year: local.getUTCFullYear(),
      month: local.getUTCMonth() + 1,
      day: local.getUTCDate(),
      hour: local.getUTCHours(),
      minute: local.getUTCMinutes(),
      weekday: local.getUTCDay(),
    };
  }

  /**
   * The instant of a wall-clock time. One that happens twice is the first of both; one that is skipped is read with
   * the offset before the change, as Python does it.
   */
  instant(year: number, month: number, day: number, hour: number, minute: number): number {
    const local = Date.UTC(year, month - 1, day, hour, minute);
    const before = this.offset(local - DAY_MS);
    const after = this.offset(local + DAY_MS);
    const early = local - before;
    const late = local - after;
    return before !== after && this.offset(early) !== before && this.offset(late) === after ? late : early;
  }
}

function wallFormat(timeZone: string): Intl.DateTimeFormat {
  const numeric = 'numeric';
  const fields = {
    year: numeric,
    month: numeric,
    day: numeric,
    hour: numeric,
    minute: numeric,
    second: numeric,
  } as const;
  return new Intl.DateTimeFormat('en-US', { timeZone, calendar: 'iso8601', hourCycle: 'h23', ...fields });
}
