import { periodicTask, policyOf, scheduleOf, type BeatEntry, type PeriodicTask } from '../app/periodic.ts';
import { ImproperlyConfigured } from '../errors.ts';
import type { Duration } from '../runtime/duration.ts';
import { crontab } from '../schedules/crontab.ts';
import type { Schedule } from '../schedules/schedule.ts';
import { solar, type SolarEvent } from '../schedules/solar.ts';

/** A schedule as JSON: seconds, a duration, a crontab line, the sun. */
export type ScheduleData =
  | number
  | Duration
  | { readonly crontab: string; readonly timezone?: string }
  | { readonly solar: SolarEvent; readonly latitude: number; readonly longitude: number };

/** An entry as JSON: what the API and the command line can add at run time. Fields as in the setting `beatSchedule`. */
export interface EntryData extends Omit<BeatEntry, 'schedule' | 'args' | 'kwargs' | 'start' | 'end'> {
  readonly schedule: ScheduleData;
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /** ISO 8601. */
  readonly start?: string;
  readonly end?: string;
}

const FIELDS: Readonly<Record<keyof EntryData, true>> = {
  task: true,
  schedule: true,
  relative: true,
  args: true,
  kwargs: true,
  options: true,
  paused: true,
  start: true,
  end: true,
  maxRuns: true,
  overlap: true,
  overlapLimit: true,
  jitter: true,
  catchUp: true,
};

/**
 * An entry made of data alone, or a known one with some fields replaced.
 * @throws {ImproperlyConfigured} saying what cannot be read
 */
export function taskFrom(name: string, data: Partial<EntryData>, base?: PeriodicTask): PeriodicTask {
  const unknown = Object.keys(data).filter((field) => !Object.hasOwn(FIELDS, field));
  if (unknown.length > 0) {
    const known = Object.keys(FIELDS).join(', ');
    throw new ImproperlyConfigured(
      `periodic task ${JSON.stringify(name)}: unknown ${unknown.join(', ')}; known: ${known}`,
    );
  }
  const { schedule, args, kwargs, options, task } = data;
  const { relative } = data;
  const made = schedule === undefined ? undefined : scheduleFrom(name, schedule, relative);
  if (base === undefined) {
    return periodicTask(name, { ...data, ...(made !== undefined && { schedule: made }) } as Partial<BeatEntry>);
  }
  const changesCall = task !== undefined || args !== undefined || kwargs !== undefined || options !== undefined;
  return {
    ...base,
    ...(made !== undefined && { schedule: made }),
    ...(changesCall && { call: () => withFields(base.call(), { task, args, kwargs, options }) }),
    ...policyOf(name, data as Partial<BeatEntry>),
  };
}

function withFields<T extends object>(call: T, fields: Readonly<Record<string, unknown>>): T {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return { ...call, ...Object.fromEntries(given) };
}

function scheduleFrom(name: string, data: ScheduleData, relative: boolean | undefined): Schedule {
  if (typeof data !== 'object' || data === null)
    return scheduleOf(name, { schedule: data, ...(relative !== undefined && { relative }) });
  if ('solar' in data) return solar(data.solar, data.latitude, data.longitude);
  if (typeof data.crontab === 'string') return crontab(data.crontab, { timezone: data.timezone });
  throw new ImproperlyConfigured(
    `periodic task ${JSON.stringify(name)}: schedule is a number of seconds, '30s', { crontab: '0 3 * * *', timezone? } or { solar: 'sunset', latitude, longitude }, ` +
      `got ${JSON.stringify(data)}`,
  );
}
