import type { ColumnType, Generated } from 'kysely';

/*
 * django-celery-beat's tables as its migrations make them (version 2.9). Moments are texts in the form of the
 * database (`moments.ts`), truth values what the driver takes (`Dialect.truth`), decimals texts or numbers.
 */

type Truth = ColumnType<boolean | number, boolean | number, boolean | number>;
type Decimal = ColumnType<string | number, string, string>;

export interface IntervalTable {
  id: Generated<number>;
  every: number;
  /** `days`, `hours`, `minutes`, `seconds`, `microseconds`. */
  period: string;
}

export interface CrontabTable {
  id: Generated<number>;
  minute: string;
  hour: string;
  day_of_month: string;
  month_of_year: string;
  day_of_week: string;
  timezone: string;
}

export interface SolarTable {
  id: Generated<number>;
  event: string;
  latitude: Decimal;
  longitude: Decimal;
}

export interface ClockedTable {
  id: Generated<number>;
  clocked_time: string;
}

export interface TaskTable {
  id: Generated<number>;
  name: string;
  task: string;
  interval_id: number | null;
  crontab_id: number | null;
  solar_id: number | null;
  clocked_id: number | null;
  /** JSON. */
  args: string;
  /** JSON. */
  kwargs: string;
  queue: string | null;
  exchange: string | null;
  routing_key: string | null;
  /** JSON. */
  headers: string | null;
  priority: number | null;
  expires: string | null;
  expire_seconds: number | null;
  one_off: Truth;
  start_time: string | null;
  enabled: Truth;
  last_run_at: string | null;
  total_run_count: number;
  date_changed: string;
  description: string;
}

/** One row, `ident` 1: when something was last changed. */
export interface ChangeTable {
  ident: number;
  last_update: string;
}

export interface Tables {
  django_celery_beat_intervalschedule: IntervalTable;
  django_celery_beat_crontabschedule: CrontabTable;
  django_celery_beat_solarschedule: SolarTable;
  django_celery_beat_clockedschedule: ClockedTable;
  django_celery_beat_periodictask: TaskTable;
  django_celery_beat_periodictasks: ChangeTable;
}

export const TASKS = 'django_celery_beat_periodictask';
export const CHANGES = 'django_celery_beat_periodictasks';
export const INTERVALS = 'django_celery_beat_intervalschedule';
export const CRONTABS = 'django_celery_beat_crontabschedule';
export const SOLARS = 'django_celery_beat_solarschedule';
export const CLOCKEDS = 'django_celery_beat_clockedschedule';
