import { createHash } from 'node:crypto';
import { callDict } from '../../canvas/dict.ts';
import type { WireOptions } from '../../canvas/wire-options.ts';
import type { PeriodicTask } from '../../app/periodic.ts';
import { toIso } from '../../protocol/time.ts';
import { Clocked } from '../../schedules/clocked.ts';
import type { Schedule, ScheduleContext } from '../../schedules/schedule.ts';
import type { RunState, StoredEntry } from '../schedule-store.ts';
import type { DjangoDatabase } from './database.ts';
import type { DatabaseEntry } from './entry.ts';
import type { TaskRow } from './rows.ts';

/** Older than any schedule's interval: Celery's beat takes it as last run of what has a start and never ran. */
const LONG_AGO_MS = 365 * 30 * 86_400_000;

/** Nothing before a moment; at that moment what was due until then, as in Celery's beat. */
class From implements Schedule {
  readonly #startMs: number;
  readonly #schedule: Schedule;

  constructor(startMs: number, schedule: Schedule) {
    this.#startMs = startMs;
    this.#schedule = schedule;
  }

  next(lastRunMs: number, context: ScheduleContext): number {
    return Math.max(this.#startMs, this.#schedule.next(lastRunMs, context));
  }

  toString(): string {
    return this.#schedule.toString();
  }
}

/** Whether Celery's beat would disable the row instead of running it. */
export function isOver({ expires, oneOff, totalRunCount }: DatabaseEntry, nowMs: number): boolean {
  return (expires !== null && nowMs >= expires.getTime()) || (oneOff && totalRunCount > 0);
}

/** The entry as beat runs it. Source: `django_celery_beat.schedulers.ModelEntry`. */
export function storedEntry(entry: DatabaseEntry, row: TaskRow, { moments }: DjangoDatabase): StoredEntry {
  const { name, task, args, kwargs, startTime, expires, totalRunCount } = entry;
  const once = entry.oneOff || entry.schedule instanceof Clocked;
  const options = sendOptions(entry);
  const lastRunMs =
    row.last_run_at === null
      ? moments.read(row.date_changed) - (startTime === null ? 0 : LONG_AGO_MS)
      : moments.read(row.last_run_at);
  const startMs = startTime?.getTime() ?? -Infinity;
  const periodic: PeriodicTask = {
    name,
    schedule: lastRunMs < startMs ? new From(startMs, entry.schedule) : entry.schedule,
    call: () => callDict(task, args, { kwargs, options }),
    // The last moment before it has expired.
    ...(expires !== null && { endMs: expires.getTime() - 1 }),
    ...(once && { maxRuns: totalRunCount + 1 }),
  };
  return { task: periodic, state: { lastRunMs, totalRunCount } };
}

/** Options of one sending, as Celery's beat makes them from a row. */
export function sendOptions(entry: DatabaseEntry): WireOptions {
  const { queue, exchange, routingKey, priority, expires, expireSeconds, headers, name } = entry;
  const expiry = expires === null ? expireSeconds || undefined : toIso(expires.getTime());
  return {
    ...(queue !== null && { queue }),
    ...(exchange !== null && { exchange }),
    ...(routingKey !== null && { routing_key: routingKey }),
    ...(priority !== null && { priority }),
    ...(expiry !== undefined && { expires: expiry }),
    headers: { ...headers, periodic_task_name: name },
  };
}

/**
 * The task id of a row's next run. The tables have no column for a run that was decided and not yet sent; so its id is
 * a function of the row, and a beat that takes over after a crash sends it again under the same one.
 */
export function runId({ id, name, task }: TaskRow, { lastRunMs, totalRunCount }: RunState): string {
  const bytes = createHash('sha1')
    .update(JSON.stringify(['celeriac:periodic', id, name, task, lastRunMs, totalRunCount]))
    .digest()
    .subarray(0, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
