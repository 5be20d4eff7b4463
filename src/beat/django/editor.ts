import type { Celery } from '../../app/celery.ts';
import type { PeriodicTask } from '../../app/periodic.ts';
import { callDict } from '../../canvas/dict.ts';
import { UsageError } from '../../errors.ts';
import { taskFrom, type EntryData } from '../entry-data.ts';
import type { ScheduleEditor } from '../schedule-store.ts';
import { configuredEntry } from './configured.ts';
import { sendOptions } from './sending.ts';
import type { DatabaseSchedules, EntryFields, NewEntry } from './schedules.ts';

/**
 * `celeriac schedule` on the tables: what Django's admin does. A removed entry of settings or app is back when beat
 * starts, and a run that somebody asks for is sent from here, both as in Django.
 */
export class DjangoEditor implements ScheduleEditor {
  readonly #app: Celery;
  readonly #schedules: DatabaseSchedules;
  readonly #configured: () => readonly PeriodicTask[];

  constructor(app: Celery, schedules: DatabaseSchedules, configured: () => readonly PeriodicTask[]) {
    this.#app = app;
    this.#schedules = schedules;
    this.#configured = configured;
  }

  async set(name: string, data: Partial<EntryData>): Promise<void> {
    const fields = fieldsOf(name, data);
    if (await this.#isThere(name)) await this.#schedules.update(name, fields);
    else await this.#schedules.create({ ...fields, name } as NewEntry);
  }

  async remove(name: string): Promise<void> {
    await this.#schedules.delete(name);
  }

  async setPaused(name: string, paused: boolean): Promise<void> {
    await this.#isThere(name);
    await (paused ? this.#schedules.disable(name) : this.#schedules.enable(name));
  }

  async runNow(name: string, id: string): Promise<void> {
    await this.#isThere(name);
    const entry = await this.#schedules.get(name);
    if (entry === undefined) throw new UsageError(`there is no periodic task ${JSON.stringify(name)}`);
    if ('problem' in entry) throw new UsageError(entry.problem);
    const options = { ...sendOptions(entry), task_id: id };
    await this.#app.sender.sendDetached(callDict(entry.task, entry.args, { kwargs: entry.kwargs, options }));
  }

  async reset(name: string): Promise<void> {
    const task = this.#configured().find((one) => one.name === name);
    if (task === undefined) await this.#schedules.delete(name);
    else await this.#schedules.put({ ...configuredEntry(task).entry, enabled: !(task.paused ?? false) });
  }

  /** A configured entry that no beat has written yet becomes a row. */
  async #isThere(name: string): Promise<boolean> {
    if ((await this.#schedules.get(name)) !== undefined) return true;
    const task = this.#configured().find((one) => one.name === name);
    if (task !== undefined) await this.#schedules.put(configuredEntry(task).entry);
    return task !== undefined;
  }
}

/** The fields that are given. @throws {UsageError} for what has no column */
function fieldsOf(name: string, data: Partial<EntryData>): EntryFields {
  const { entry, dropped } = configuredEntry(taskFrom(name, { task: '-', schedule: 60, ...data }));
  if (dropped.length > 0) {
    throw new UsageError(`periodic task ${JSON.stringify(name)}: the tables have no column for ${dropped.join(', ')}`);
  }
  const { queue, exchange, routingKey, priority, headers, expireSeconds } = entry;
  return {
    ...(data.task !== undefined && { task: data.task }),
    ...(data.schedule !== undefined && { schedule: entry.schedule }),
    ...(data.args !== undefined && { args: entry.args }),
    ...(data.kwargs !== undefined && { kwargs: entry.kwargs }),
    ...(data.options !== undefined && { queue, exchange, routingKey, priority, headers, expireSeconds }),
    ...(entry.expires !== undefined && { expires: entry.expires }),
    ...(entry.startTime !== undefined && { startTime: entry.startTime }),
    ...(entry.oneOff !== undefined && { oneOff: entry.oneOff }),
    ...(entry.enabled !== undefined && { enabled: entry.enabled }),
  };
}
