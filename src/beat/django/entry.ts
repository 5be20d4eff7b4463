import { DecodeError } from '../../errors.ts';
import { Clocked } from '../../schedules/clocked.ts';
import { Crontab } from '../../schedules/crontab.ts';
import { Interval } from '../../schedules/interval.ts';
import { Solar, type SolarEvent } from '../../schedules/solar.ts';
import type { Schedule } from '../../schedules/schedule.ts';
import { loads } from '../../serializers/json.ts';
import type { DjangoDatabase } from './database.ts';
import type { TaskRow } from './rows.ts';

/** A periodic task of the tables. Moments keep milliseconds here; the tables have microseconds. */
export interface DatabaseEntry {
  readonly id: number;
  readonly name: string;
  readonly task: string;
  readonly schedule: Schedule;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly queue: string | null;
  readonly exchange: string | null;
  readonly routingKey: string | null;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly priority: number | null;
  /** After this moment the entry disables itself, and its messages are not run. */
  readonly expires: Date | null;
  /** Seconds after each sending. */
  readonly expireSeconds: number | null;
  /** Disables itself after its first run. */
  readonly oneOff: boolean;
  /** No run before this moment. */
  readonly startTime: Date | null;
  readonly enabled: boolean;
  readonly lastRunAt: Date | null;
  readonly totalRunCount: number;
  readonly dateChanged: Date;
  readonly description: string;
}

/** A row that cannot be run, and why. */
export class BrokenRow extends DecodeError {
  /** Whether Celery disables such a row: its arguments or its schedule are gone for good. */
  readonly disables: boolean;

  constructor(message: string, options: { readonly cause?: unknown; readonly disables: boolean }) {
    super(message, { cause: options.cause });
    this.disables = options.disables;
  }
}

/** @throws {BrokenRow} */
export function entryOf(row: TaskRow, { moments, stamps, tzAware }: DjangoDatabase): DatabaseEntry {
  const moment = (column: 'expires' | 'start_time' | 'last_run_at'): Date | null => {
    const text = row[column];
    return text === null ? null : new Date(check(row, column, false, () => moments.read(text)));
  };
  return {
    id: row.id,
    name: row.name,
    task: row.task,
    schedule: scheduleOf(row, tzAware, (text) => moments.read(text)),
    args: list(row),
    kwargs: object(row, 'kwargs', true),
    queue: row.queue || null,
    exchange: row.exchange || null,
    routingKey: row.routing_key || null,
    headers: object(row, 'headers', false),
    priority: row.priority,
    expires: moment('expires'),
    expireSeconds: row.expire_seconds,
    oneOff: Boolean(row.one_off),
    startTime: moment('start_time'),
    enabled: Boolean(row.enabled),
    lastRunAt: moment('last_run_at'),
    totalRunCount: row.total_run_count,
    dateChanged: new Date(check(row, 'date_changed', false, () => stamps.read(row.date_changed))),
    description: row.description,
  };
}

function scheduleOf(row: TaskRow, tzAware: boolean, moment: (text: string) => number): Schedule {
  if (row.found_interval !== null) {
    return check(row, 'interval', false, () => new Interval(periodMs(row.period as string) * (row.every as number)));
  }
  if (row.found_crontab !== null) {
    const { minute, hour, day_of_month, month_of_year, day_of_week, timezone } = row as Required<TaskRow>;
    return check(
      row,
      'crontab',
      false,
      () =>
        new Crontab({
          minute: minute ?? '*',
          hour: hour ?? '*',
          dayOfMonth: day_of_month ?? '*',
          monthOfYear: month_of_year ?? '*',
          dayOfWeek: day_of_week ?? '*',
          timezone: tzAware ? (timezone ?? undefined) : undefined,
        }),
    );
  }
  if (row.found_clocked !== null) {
    return check(row, 'clocked', false, () => new Clocked(moment(row.clocked_time as string)));
  }
  if (row.found_solar !== null) {
    const { event, latitude, longitude } = row;
    return check(row, 'solar', false, () => new Solar(event as SolarEvent, Number(latitude), Number(longitude)));
  }
  throw new BrokenRow(`periodic task ${JSON.stringify(row.name)}: its schedule was removed from the database`, {
    disables: true,
  });
}

function check<T>(row: TaskRow, what: string, disables: boolean, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const message = `periodic task ${JSON.stringify(row.name)}, ${what}: ${(cause as Error).message}`;
    throw new BrokenRow(message, { cause, disables });
  }
}

const PERIODS_MS: Readonly<Record<string, number>> = {
  days: 86_400_000,
  hours: 3_600_000,
  minutes: 60_000,
  seconds: 1000,
  microseconds: 0.001,
};

function periodMs(period: string): number {
  const ms = PERIODS_MS[period];
  if (ms === undefined) {
    throw new DecodeError(`expected one of ${Object.keys(PERIODS_MS).join(', ')}, got ${JSON.stringify(period)}`);
  }
  return ms;
}

function list(row: TaskRow): readonly unknown[] {
  const value = check(row, 'args', true, () => loads(row.args || '[]'));
  if (Array.isArray(value)) return value;
  return check(row, 'args', false, () => wrong('a JSON array', value));
}

function object(row: TaskRow, column: 'kwargs' | 'headers', disables: boolean): Readonly<Record<string, unknown>> {
  const value = check(row, column, disables, () => loads(row[column] || '{}'));
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  return check(row, column, false, () => wrong('a JSON object', value));
}

function wrong(expected: string, value: unknown): never {
  throw new DecodeError(`expected ${expected}, got ${JSON.stringify(value)}`);
}
