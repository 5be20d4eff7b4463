import type { Celery } from '../../app/celery.ts';
import { effectiveTimezone } from '../../app/timezone.ts';
import { DjangoDatabase, type DjangoOptions } from './database.ts';
import { ImproperlyConfigured } from '../../errors.ts';
import type { OpenScheduler, ScheduleStore } from '../schedule-store.ts';
import { DatabaseSchedules } from './schedules.ts';
import { DjangoStore } from './store.ts';

/**
 * Opens django-celery-beat's tables to edit periodic tasks. Connects on first use; close it when done.
 *
 * @param url `postgresql://…`, `mysql://…` or `sqlite:///file.sqlite3`
 * @param options how the Django project is set up, where it is not by default
 * @throws {ImproperlyConfigured} for a URL of another kind
 * @example
 * await using schedules = databaseSchedules(app, 'postgresql://shop@db/shop');
 * await schedules.create({ name: 'nightly', task: 'shop.report', schedule: crontab('0 3 * * *') });
 */
export function databaseSchedules(app: Celery, url: string, options: DjangoOptions = {}): DatabaseSchedules {
  return new DatabaseSchedules(new DjangoDatabase(url, options, app.clock), effectiveTimezone(app.conf));
}

/**
 * The scheduler `django`: beat runs what is in django-celery-beat's tables of the setting `beatDatabase`.
 * @throws {ImproperlyConfigured} without that setting
 */
export const openScheduler: OpenScheduler = ({ app }) => {
  const { beatDatabase, beatDatabaseOptions } = app.conf;
  if (beatDatabase === null) {
    throw new ImproperlyConfigured(
      'the scheduler "django" needs the setting beatDatabase, such as postgresql://user@host/database',
    );
  }
  return databaseScheduler(app, beatDatabase, djangoOptions(beatDatabaseOptions));
};

/**
 * The same as a value, for `new Beat(app, { store })`.
 * @example
 * const store = databaseScheduler(app, 'postgresql://shop@db/shop');
 * await new Beat(app, { store }).run({ signal });
 */
export function databaseScheduler(app: Celery, url: string, options: DjangoOptions = {}): ScheduleStore {
  return new DjangoStore(app, new DjangoDatabase(url, options, app.clock));
}

const OPTIONS: Readonly<Record<string, keyof DjangoOptions>> = {
  useTz: 'useTz',
  use_tz: 'useTz',
  timeZone: 'timeZone',
  time_zone: 'timeZone',
  tzAware: 'tzAware',
  tz_aware: 'tzAware',
};

function djangoOptions(given: Readonly<Record<string, unknown>>): DjangoOptions {
  const options: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const option = OPTIONS[name];
    const type = option === 'timeZone' ? 'string' : 'boolean';
    if (option === undefined) {
      throw new ImproperlyConfigured(`beatDatabaseOptions: expected useTz, timeZone or tzAware, got "${name}"`);
    }
    if (typeof value !== type) {
      throw new ImproperlyConfigured(`beatDatabaseOptions.${option}: expected a ${type}, got ${JSON.stringify(value)}`);
    }
    options[option] = value;
  }
  return options;
}

export type { DjangoOptions } from './database.ts';
export type { DatabaseEntry } from './entry.ts';
export type { BrokenEntry, DatabaseSchedules, EntryFields, NewEntry } from './schedules.ts';
