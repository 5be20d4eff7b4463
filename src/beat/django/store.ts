import type { PeriodicTask } from '../../app/periodic.ts';
import type { Celery } from '../../app/celery.ts';
import { effectiveTimezone } from '../../app/timezone.ts';
import { DjangoEditor } from './editor.ts';
import type { LoadContext, ScheduleEditor, RunState, ScheduleStore, StoredEntry } from '../schedule-store.ts';
import { CLEANUP, configuredEntry } from './configured.ts';
import { disable, record, type Run } from './runs.ts';
import type { Crontab } from '../../schedules/crontab.ts';
import type { DjangoDatabase } from './database.ts';
import { BrokenRow, entryOf } from './entry.ts';
import { OperationalError } from '../../errors.ts';
import { dumps } from '../../serializers/json.ts';
import { lastChange, readTasks, type TaskRow } from './rows.ts';
import { isOver, runId, storedEntry } from './sending.ts';
import { DatabaseSchedules } from './schedules.ts';

const POLL_MS = 5000;
/** What changed without the marker, by hand in SQL, is noticed after this. */
const FULL_READ_MS = 300_000;

interface Known {
  readonly row: TaskRow;
  readonly once: boolean;
  state: RunState;
}

/**
 * Beat's schedule in django-celery-beat's tables: a drop-in for `django_celery_beat.schedulers:DatabaseScheduler`.
 * Either may take over from the other. Only columns that beat owns are written, so that an edit made meanwhile stays.
 * Source: that class.
 */
export class DjangoStore implements ScheduleStore {
  readonly name: string;
  readonly pollMs: number;
  readonly editor: ScheduleEditor;
  readonly #app: Celery;
  readonly #database: DjangoDatabase;
  /** What was written of each configured entry in this process. */
  readonly #known = new Map<string, Known>();
  /** What was written of each configured entry, and for which version of the app's table. */
  readonly #written = new Map<string, string>();
  #writtenVersion = -1;
  #told: ReadonlySet<string> = new Set();
  #readMs = -Infinity;
  #nextEndMs = Infinity;
  #configured: readonly PeriodicTask[] = [];
  #generation = 0;

  constructor(app: Celery, database: DjangoDatabase) {
    const { beatMaxLoopInterval } = app.conf;
    this.name = database.name;
    this.pollMs = beatMaxLoopInterval > 0 ? beatMaxLoopInterval * 1000 : POLL_MS;
    this.#app = app;
    this.#database = database;
    const schedules = new DatabaseSchedules(database, effectiveTimezone(app.conf));
    this.editor = new DjangoEditor(app, schedules, () => this.#configured);
  }

  async load(configured: readonly PeriodicTask[], { timezone, looking }: LoadContext): Promise<StoredEntry[]> {
    this.#configured = configured;
    if (looking) return this.#look(configured);
    const { clock, log, periodicTasks } = this.#app;
    const { version } = periodicTasks;
    if (version !== this.#writtenVersion) await this.#writeConfigured(configured, timezone);
    this.#writtenVersion = version;
    const nowMs = clock.now();
    const rows = await this.#database.read((db) => readTasks(db, { enabled: this.#database.truth(true) }));
    const told = new Set<string>();
    const over: TaskRow[] = [];
    const entries: StoredEntry[] = [];
    this.#known.clear();
    for (const row of rows) {
      try {
        const entry = entryOf(row, this.#database);
        if (isOver(entry, nowMs)) over.push(row);
        else entries.push(this.#remember(row, storedEntry(entry, row, this.#database)));
      } catch (error) {
        if (!(error instanceof BrokenRow)) throw error;
        if (error.disables) over.push(row);
        told.add(error.message);
        if (!this.#told.has(error.message)) {
          log.error(
            { error, entry: row.name },
            error.disables ? 'disabling a periodic task' : 'a periodic task is left out',
          );
        }
      }
    }
    if (over.length > 0) await this.#database.write((tx) => disable(tx, this.#database, over));
    this.#told = told;
    this.#readMs = nowMs;
    this.#nextEndMs = entries.reduce((soonest, { task }) => Math.min(soonest, task.endMs ?? Infinity), Infinity);
    return entries;
  }

  /** Every row, and what is configured and has none yet. */
  async #look(configured: readonly PeriodicTask[]): Promise<StoredEntry[]> {
    const rows = await this.#database.read((db) => readTasks(db));
    const names = new Set(rows.map(({ name }) => name));
    const entries = rows.flatMap((row): StoredEntry[] => {
      try {
        const stored = storedEntry(entryOf(row, this.#database), row, this.#database);
        return [row.enabled ? stored : { ...stored, task: { ...stored.task, paused: true } }];
      } catch (error) {
        this.#app.log.error({ error, entry: row.name }, 'a periodic task is left out');
        return [];
      }
    });
    const missing = configured.filter(({ name }) => !names.has(name)).map((task): StoredEntry => ({ task }));
    return [...entries, ...missing];
  }

  async version(): Promise<unknown> {
    const nowMs = this.#app.clock.now();
    if (nowMs - this.#readMs >= FULL_READ_MS || nowMs > this.#nextEndMs) {
      this.#readMs = nowMs;
      this.#nextEndMs = Infinity;
      this.#generation++;
    }
    return `${this.#generation} ${await this.#database.read((db) => lastChange(db))}`;
  }

  runId(name: string): string | undefined {
    const known = this.#known.get(name);
    return known && runId(known.row, known.state);
  }

  /** A run that was not sent yet leaves no trace here: after a crash it is due again, under the same id. */
  async save(states: ReadonlyMap<string, RunState>): Promise<void> {
    const runs: Run[] = [];
    for (const [name, state] of states) {
      const known = this.#known.get(name);
      if (known === undefined || state.pending !== undefined) continue;
      const times = state.totalRunCount - known.state.totalRunCount;
      runs.push({ id: known.row.id, lastRunMs: state.lastRunMs, times, ends: known.once && times > 0 });
      known.state = state;
    }
    if (runs.length > 0) await this.#database.write((tx) => record(tx, this.#database, runs));
  }

  #remember(row: TaskRow, stored: StoredEntry): StoredEntry {
    this.#known.set(row.name, { row, once: stored.task.maxRuns !== undefined, state: stored.state as RunState });
    return stored;
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  /** Source: `DatabaseScheduler.setup_schedule`; here what has not changed is not written again. */
  async #writeConfigured(configured: readonly PeriodicTask[], timezone: string): Promise<void> {
    const { conf, log } = this.#app;
    const schedules = new DatabaseSchedules(this.#database, timezone);
    const all = [...configured];
    const cleanup = conf.resultExpires !== null && !configured.some(({ name }) => name === CLEANUP.name);
    if (cleanup) all.unshift(CLEANUP);
    for (const task of all) {
      try {
        const { entry, dropped } = configuredEntry(task);
        const text = dumps({
          ...entry,
          schedule: [String(entry.schedule), (entry.schedule as Partial<Crontab>).timezone ?? ''],
        });
        if (this.#written.get(entry.name) === text) continue;
        if (dropped.length > 0) log.warn({ entry: entry.name, dropped }, 'database schedules have no column for this');
        await schedules.put(entry);
        this.#written.set(entry.name, text);
      } catch (error) {
        if (error instanceof OperationalError) throw error;
        log.error({ error, entry: task.name }, 'Cannot add entry to database schedule');
      }
    }
  }
}
