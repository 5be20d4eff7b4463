import type { Celery } from '../app/celery.ts';
import type { PeriodicTask } from '../app/periodic.ts';
import { effectiveTimezone } from '../app/timezone.ts';
import { NotSupported, UsageError } from '../errors.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { configuredEntries } from './configured.ts';
import { taskFrom, type EntryData } from './entry-data.ts';
import { Entry } from './entry.ts';
import type { ScheduleEditor, ScheduleStore, StoredEntry } from './schedule-store.ts';
import { openStore, type StoreOptions } from './scheduler.ts';

/** An entry as people see it. Moments are Unix time in milliseconds. */
export interface ScheduledEntry {
  readonly name: string;
  readonly task: string;
  /** As Celery prints it: `<freq: 30.00 seconds>`. */
  readonly schedule: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: Readonly<Record<string, unknown>>;
  readonly paused: boolean;
  readonly totalRunCount: number;
  /** Undefined of one that never ran. */
  readonly lastRunMs: number | undefined;
  /** Undefined when it will not run again by itself. */
  readonly nextMs: number | undefined;
}

/**
 * The schedule of an app, to look at and to change while beats run; they notice within a second or so (the store's
 * `pollMs`). Works whether a beat runs or not, from any process that reaches the store.
 *
 * @example
 * await using schedule = await openSchedule(app);
 * await schedule.add('report', { task: 'mail.report', schedule: { crontab: '0 7 * * mon-fri' }, args: ['sales'] });
 * await schedule.pause('report');
 */
export class ScheduleControl implements AsyncDisposable {
  readonly #app: Celery;
  readonly #store: ScheduleStore;

  constructor(app: Celery, store: ScheduleStore) {
    this.#app = app;
    this.#store = store;
  }

  /** For people: where the schedule lives. */
  get store(): string {
    return this.#store.name;
  }

  /** All entries, the configured ones first. */
  async list(): Promise<ScheduledEntry[]> {
    const { entries } = await this.#load();
    const moment = { nowMs: this.#app.clock.now(), timezone: effectiveTimezone(this.#app.conf) };
    return entries.map((stored) => shown(stored, new Entry(stored, moment)));
  }

  /** @throws {UsageError} when there is no such entry */
  async get(name: string): Promise<ScheduledEntry> {
    const found = (await this.list()).find((entry) => entry.name === name);
    return found ?? this.#unknown(name);
  }

  /** @throws {UsageError} when the name is taken; {ImproperlyConfigured} when the entry cannot be read */
  async add(name: string, data: EntryData): Promise<void> {
    taskFrom(name, data);
    const { entries } = await this.#load();
    if (entries.some(({ task }) => task.name === name)) {
      throw new UsageError(`there is an entry ${JSON.stringify(name)} already: change it, or remove it first`);
    }
    await this.#editor.set(name, data);
  }

  /** Replaces the fields that are given. */
  async change(name: string, data: Partial<EntryData>): Promise<void> {
    taskFrom(name, data, await this.#known(name));
    await this.#editor.set(name, data);
  }

  /** Also hides an entry of the settings or the app, until `reset` or `add`. */
  async remove(name: string): Promise<void> {
    const { configured, entries } = await this.#load();
    if (configured.some((task) => task.name === name)) return this.#editor.remove(name);
    if (!entries.some(({ task }) => task.name === name)) this.#unknown(name);
    await this.#editor.reset(name);
  }

  async pause(name: string): Promise<void> {
    await this.#known(name);
    await this.#editor.setPaused(name, true);
  }

  /** Runs that were missed meanwhile are not made up. */
  async resume(name: string): Promise<void> {
    await this.#known(name);
    await this.#editor.setPaused(name, false);
  }

  /**
   * Has a beat send the entry now, paused or not; its schedule does not move.
   * @returns the id of the run
   */
  async runNow(name: string): Promise<string> {
    await this.#known(name);
    const id = this.#app.random.uuid();
    await this.#editor.runNow(name, id);
    return id;
  }

  /** Takes back every change of an entry that is configured; one that was added is gone. */
  async reset(name: string): Promise<void> {
    await this.#editor.reset(name);
  }

  /** Harmless twice. */
  async close(): Promise<void> {
    await this.#store.close?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #editor(): ScheduleEditor {
    const { editor, name } = this.#store;
    if (editor !== undefined) return editor;
    throw new NotSupported(`the schedule in ${name} cannot be changed at run time`);
  }

  async #load(): Promise<{ configured: readonly PeriodicTask[]; entries: readonly StoredEntry[] }> {
    const { conf } = this.#app;
    const configured = await configuredEntries(this.#app);
    const context = { timezone: effectiveTimezone(conf), enableUtc: conf.enableUtc, looking: true };
    return { configured, entries: await this.#store.load(configured, context) };
  }

  async #known(name: string): Promise<PeriodicTask> {
    const { entries } = await this.#load();
    return entries.find(({ task }) => task.name === name)?.task ?? this.#unknown(name);
  }

  #unknown(name: string): never {
    throw new UsageError(`there is no entry ${JSON.stringify(name)} in ${this.#store.name}`);
  }
}

function shown({ task, state }: StoredEntry, entry: Entry): ScheduledEntry {
  const { task: name, args, kwargs, options } = callOf(task);
  const { totalRunCount, lastRunMs, nextMs } = entry;
  return {
    name: task.name,
    task: name,
    schedule: String(task.schedule),
    args,
    kwargs,
    options,
    paused: task.paused ?? false,
    totalRunCount,
    lastRunMs: totalRunCount > 0 && state !== undefined ? lastRunMs : undefined,
    nextMs: Number.isFinite(nextMs) ? nextMs : undefined,
  };
}

/** Arguments that are made for each run may fail; the list is shown all the same. */
function callOf(task: PeriodicTask): SignatureDict {
  try {
    return task.call();
  } catch (error) {
    const failure = `<${(error as Error).message}>`;
    return { task: failure, args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false };
  }
}

/**
 * Opens the schedule that a beat of this app works from.
 * @param options as for beat: the same scheduler and file
 */
export async function openSchedule(app: Celery, options: StoreOptions = {}): Promise<ScheduleControl> {
  return new ScheduleControl(app, await openStore(app, options));
}
