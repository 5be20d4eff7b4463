import { UsageError } from '../../errors.ts';
import { Clocked } from '../../schedules/clocked.ts';
import { Crontab } from '../../schedules/crontab.ts';
import { Interval } from '../../schedules/interval.ts';
import { Solar } from '../../schedules/solar.ts';
import type { Schedule } from '../../schedules/schedule.ts';
import type { Moments } from './moments.ts';
import type { Tx } from './database.ts';
import { CLOCKEDS, CRONTABS, INTERVALS, SOLARS } from './tables.ts';

/** The columns of a task that name its schedule: exactly one is not null. */
export interface ScheduleColumns {
  readonly interval_id: number | null;
  readonly crontab_id: number | null;
  readonly solar_id: number | null;
  readonly clocked_id: number | null;
}

const NONE: ScheduleColumns = { interval_id: null, crontab_id: null, solar_id: null, clocked_id: null };
const LONGEST = 2_147_483_647;
const WIDTHS = { minute: 240, hour: 96, dayOfMonth: 124, monthOfYear: 64, dayOfWeek: 64 } as const;

export interface ScheduleContext {
  readonly moments: Moments;
  /** Of crontabs that have none. */
  readonly timezone: string;
}

/**
 * Finds the row of a schedule, or makes it; tasks with the same schedule share it, as in Django.
 * @throws {UsageError} for a schedule that the tables cannot hold
 */
export async function scheduleColumns(tx: Tx, schedule: Schedule, context: ScheduleContext): Promise<ScheduleColumns> {
  if (schedule instanceof Interval) return { ...NONE, interval_id: await intervalRow(tx, schedule) };
  if (schedule instanceof Crontab) return { ...NONE, crontab_id: await crontabRow(tx, schedule, context.timezone) };
  if (schedule instanceof Clocked) return { ...NONE, clocked_id: await clockedRow(tx, schedule, context.moments) };
  if (schedule instanceof Solar) return { ...NONE, solar_id: await solarRow(tx, schedule) };
  throw new UsageError(`a database schedule is every(…), crontab(…), solar(…) or clocked(…), got ${String(schedule)}`);
}

async function intervalRow(tx: Tx, { everyMs, relative }: Interval): Promise<number> {
  if (relative) throw new UsageError('a database schedule cannot be relative: the tables have no column for it');
  const whole = everyMs % 1000 === 0;
  const every = Math.round(whole ? everyMs / 1000 : everyMs * 1000);
  const period = whole ? 'seconds' : 'microseconds';
  if (every < 1 || every > LONGEST) {
    throw new UsageError(
      `a database schedule cannot be every ${everyMs} ms: the tables take whole ${period} up to ${LONGEST}`,
    );
  }
  const find = async (): Promise<number | undefined> =>
    (
      await tx
        .selectFrom(INTERVALS)
        .select('id')
        .where('every', '=', every)
        .where('period', '=', period)
        .orderBy('id')
        .executeTakeFirst()
    )?.id;
  return found(find, () => tx.insertInto(INTERVALS).values({ every, period }).execute());
}

async function crontabRow(tx: Tx, crontab: Crontab, timezone: string): Promise<number> {
  const { fields } = crontab;
  for (const [field, width] of Object.entries(WIDTHS)) {
    const text = fields[field as keyof typeof WIDTHS];
    if (text.length > width)
      throw new UsageError(`crontab ${field}: the tables take ${width} characters, got ${text.length}`);
  }
  const values = {
    minute: fields.minute,
    hour: fields.hour,
    day_of_month: fields.dayOfMonth,
    month_of_year: fields.monthOfYear,
    day_of_week: fields.dayOfWeek,
    timezone: crontab.timezone ?? timezone,
  };
  const find = async (): Promise<number | undefined> =>
    (
      await tx
        .selectFrom(CRONTABS)
        .select('id')
        .where((where) => where.and(values))
        .orderBy('id')
        .executeTakeFirst()
    )?.id;
  return found(find, () => tx.insertInto(CRONTABS).values(values).execute());
}

async function solarRow(tx: Tx, { event, latitude, longitude }: Solar): Promise<number> {
  const values = { event, latitude: latitude.toFixed(6), longitude: longitude.toFixed(6) };
  const find = async (): Promise<number | undefined> =>
    (
      await tx
        .selectFrom(SOLARS)
        .select('id')
        .where((where) => where.and(values))
        .executeTakeFirst()
    )?.id;
  return found(find, () => tx.insertInto(SOLARS).values(values).execute());
}

async function clockedRow(tx: Tx, { atMs }: Clocked, moments: Moments): Promise<number> {
  const clocked_time = moments.write(atMs);
  const find = async (): Promise<number | undefined> =>
    (
      await tx
        .selectFrom(CLOCKEDS)
        .select('id')
        .where('clocked_time', '=', clocked_time)
        .orderBy('id')
        .executeTakeFirst()
    )?.id;
  return found(find, () => tx.insertInto(CLOCKEDS).values({ clocked_time }).execute());
}

async function found(find: () => Promise<number | undefined>, insert: () => Promise<unknown>): Promise<number> {
  const there = await find();
  if (there !== undefined) return there;
  await insert();
  return (await find()) as number;
}
