import type { Celery } from '../../app/celery.ts';
import { effectiveTimezone } from '../../app/timezone.ts';
import { DjangoDatabase, type DjangoOptions } from './database.ts';
import { DatabaseSchedules } from './schedules.ts';

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

export type { DjangoOptions } from './database.ts';
export type { DatabaseEntry } from './entry.ts';
export type { BrokenEntry, DatabaseSchedules, EntryFields, NewEntry } from './schedules.ts';
