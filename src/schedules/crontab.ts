import { UsageError } from '../errors.ts';
import {
  DAY_OF_MONTH,
  DAY_OF_WEEK,
  HOUR,
  MINUTE,
  MONTH_OF_YEAR,
  parseField,
  type CrontabField,
  type CrontabValue,
} from './crontab-field.ts';
import type { Schedule, ScheduleContext } from './schedule.ts';
import { Zone, type WallTime } from './zone.ts';

export interface CrontabOptions {
  readonly minute?: CrontabValue | undefined;
  readonly hour?: CrontabValue | undefined;
  /** 0 is Sunday, 6 Saturday; `mon-fri`. */
  readonly dayOfWeek?: CrontabValue | undefined;
  readonly dayOfMonth?: CrontabValue | undefined;
  readonly monthOfYear?: CrontabValue | undefined;
  /** IANA name. @default the app's setting `timezone` */
  readonly timezone?: string | undefined;
}

/** A leap day on one weekday comes back after 40 years at the most (around 2100). */
const MOST_YEARS = 41;

/**
 * Wall-clock times, as in a crontab; but all three day fields have to match, as in Celery.
 * Source: `celery.schedules.crontab`.
 */
export class Crontab implements Schedule {
  readonly minute: ReadonlySet<number>;
  readonly hour: ReadonlySet<number>;
  readonly dayOfWeek: ReadonlySet<number>;
  readonly dayOfMonth: ReadonlySet<number>;
  readonly monthOfYear: ReadonlySet<number>;
  readonly timezone: string | undefined;
  /** The fields as they were given; lists joined by commas. */
  readonly fields: Readonly<Record<'minute' | 'hour' | 'dayOfMonth' | 'monthOfYear' | 'dayOfWeek', string>>;
  readonly #text: string;
  readonly #minutes: readonly number[];
  readonly #hours: readonly number[];
  #zone: Zone | undefined;

  constructor(options: CrontabOptions = {}) {
    const { minute = '*', hour = '*', dayOfWeek = '*', dayOfMonth = '*', monthOfYear = '*', timezone } = options;
    const read = (field: CrontabField, value: CrontabValue): ReadonlySet<number> => parseField(field, value);
    this.minute = read(MINUTE, minute);
    this.hour = read(HOUR, hour);
    this.dayOfWeek = read(DAY_OF_WEEK, dayOfWeek);
    this.dayOfMonth = read(DAY_OF_MONTH, dayOfMonth);
    this.monthOfYear = read(MONTH_OF_YEAR, monthOfYear);
    this.#minutes = ascending(this.minute);
    this.#hours = ascending(this.hour);
    this.timezone = timezone;
    if (timezone !== undefined) this.#zone = zoneOf(timezone);
    this.fields = {
      minute: joined(minute),
      hour: joined(hour),
      dayOfMonth: joined(dayOfMonth),
      monthOfYear: joined(monthOfYear),
      dayOfWeek: joined(dayOfWeek),
    };
    this.#text = [minute, hour, dayOfMonth, monthOfYear, dayOfWeek].map(shown).join(' ');
  }

  next(lastRunMs: number, { nowMs, timezone }: ScheduleContext): number {
    const zone = this.#zoneFor(timezone);
    const last = zone.wall(lastRunMs);
    const [firstHour, firstMinute] = [this.#hours[0] as number, this.#minutes[0] as number];
    const { year, month, day } = last;
    if (this.#matches(last)) {
      const minute = this.#minutes.find((one) => one > last.minute);
      if (minute !== undefined && this.hour.has(last.hour) && isSameDay(last, zone.wall(nowMs))) {
        return zone.instant(year, month, day, last.hour, minute);
      }
      const hour = this.#hours.find((one) => one > last.hour);
      if (hour !== undefined) return zone.instant(year, month, day, hour, firstMinute);
    }
    const on = this.#dayAfter(last);
    return zone.instant(on.year, on.month, on.day, firstHour, firstMinute);
  }

  #matches({ month, day, weekday }: Pick<WallTime, 'month' | 'day' | 'weekday'>): boolean {
    return this.monthOfYear.has(month) && this.dayOfMonth.has(day) && this.dayOfWeek.has(weekday);
  }

  #dayAfter({ year, month, day }: WallTime): { year: number; month: number; day: number } {
    const date = new Date(Date.UTC(year, month - 1, day + 1));
    while (date.getUTCFullYear() <= year + MOST_YEARS) {
      const found = { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
      if (!this.monthOfYear.has(found.month)) date.setUTCMonth(found.month, 1);
      else if (this.#matches({ ...found, weekday: date.getUTCDay() })) return found;
      else date.setUTCDate(found.day + 1);
    }
    throw new UsageError(`${this.toString()} never comes: no month has such a day`);
  }

  #zoneFor(timezone: string): Zone {
    if (this.timezone !== undefined) return this.#zone as Zone;
    if (this.#zone?.name !== timezone) this.#zone = zoneOf(timezone);
    return this.#zone as Zone;
  }

  toString(): string {
    return `<crontab: ${this.#text} (m/h/dM/MY/d)>`;
  }
}

/**
 * Runs at wall-clock times.
 *
 * @param spec fields by name, or the five of a crontab line: minute, hour, day of month, month, day of week
 * @throws {UsageError} for a field that cannot be read
 * @example
 * crontab({ hour: 3, minute: 0, timezone: 'Europe/Paris' });
 * crontab('*\/15 8-18 * * mon-fri');
 */
export function crontab(spec: CrontabOptions | string = {}, options: Pick<CrontabOptions, 'timezone'> = {}): Crontab {
  if (typeof spec !== 'string') return new Crontab(spec);
  const fields = spec.trim().split(/\s+/);
  if (fields.length !== 5) {
    throw new UsageError(
      `a crontab has five fields (minute hour day month weekday), got ${fields.length} in "${spec}"`,
    );
  }
  const [minute, hour, dayOfMonth, monthOfYear, dayOfWeek] = fields;
  return new Crontab({ minute, hour, dayOfMonth, monthOfYear, dayOfWeek, ...options });
}

const ascending = (numbers: ReadonlySet<number>): number[] => [...numbers].sort((a, b) => a - b);

const isSameDay = (a: WallTime, b: WallTime): boolean => a.day === b.day && a.month === b.month && a.year === b.year;

const joined = (value: CrontabValue): string => (typeof value === 'object' ? [...value].join(',') : String(value));

const shown = (value: CrontabValue): string =>
  typeof value === 'object' ? `[${[...value].join(', ')}]` : String(value);

function zoneOf(name: string): Zone {
  try {
    return new Zone(name);
  } catch (cause) {
    throw new UsageError(`no time zone ${JSON.stringify(name)}: use an IANA name such as Europe/Paris`, { cause });
  }
}
