import type { Insertable, Updateable } from 'kysely';
import { UsageError } from '../../errors.ts';
import { Clocked } from '../../schedules/clocked.ts';
import type { Schedule } from '../../schedules/schedule.ts';
import { pythonJson } from '../../serializers/json.ts';
import { markChanged } from './changes.ts';
import type { DjangoDatabase, Tx } from './database.ts';
import { BrokenRow, entryOf, type DatabaseEntry } from './entry.ts';
import { readTasks, type TaskRow } from './rows.ts';
import { scheduleColumns } from './schedule-rows.ts';
import { TASKS, type TaskTable } from './tables.ts';

/** What can be set of an entry. Left away means unchanged, or Django's default in a new entry. */
export interface EntryFields {
  readonly task?: string | undefined;
  /** `every(…)`, `crontab(…)`, `solar(…)` or `clocked(…)`. */
  readonly schedule?: Schedule | undefined;
  readonly args?: readonly unknown[] | undefined;
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined;
  readonly queue?: string | null | undefined;
  readonly exchange?: string | null | undefined;
  readonly routingKey?: string | null | undefined;
  readonly headers?: Readonly<Record<string, unknown>> | null | undefined;
  /** 0 to 255. */
  readonly priority?: number | null | undefined;
  readonly expires?: Date | null | undefined;
  readonly expireSeconds?: number | null | undefined;
  /** @default true for `clocked(…)`, else false */
  readonly oneOff?: boolean | undefined;
  readonly startTime?: Date | null | undefined;
  /** @default true */
  readonly enabled?: boolean | undefined;
  readonly description?: string | undefined;
}

export interface NewEntry extends EntryFields {
  readonly name: string;
  readonly task: string;
  readonly schedule: Schedule;
}

/** An entry whose row cannot be read; `update` can mend it. */
export interface BrokenEntry {
  readonly id: number;
  readonly name: string;
  readonly task: string;
  readonly enabled: boolean;
  readonly problem: string;
}

type Columns = Updateable<TaskTable>;

/**
 * Periodic tasks in django-celery-beat's tables, edited as Django's admin edits them: running beats, Python's and ours,
 * see each change within seconds.
 *
 * @example
 * await using schedules = new DatabaseSchedules(new DjangoDatabase('postgresql://…', {}, systemClock), 'UTC');
 * await schedules.create({ name: 'nightly', task: 'shop.report', schedule: crontab('0 3 * * *') });
 * await schedules.disable('nightly');
 */
export class DatabaseSchedules implements AsyncDisposable {
  readonly #database: DjangoDatabase;
  readonly #timezone: string;

  /** @param timezone of crontabs that have none */
  constructor(database: DjangoDatabase, timezone: string) {
    this.#database = database;
    this.#timezone = timezone;
  }

  /** Every entry, by name. */
  async list(): Promise<(DatabaseEntry | BrokenEntry)[]> {
    const rows = await this.#database.read((db) => readTasks(db));
    return rows.map((row) => this.#entry(row));
  }

  async get(name: string): Promise<DatabaseEntry | BrokenEntry | undefined> {
    const row = await this.#database.read((db) => rowOf(db, name));
    return row && this.#entry(row);
  }

  /** @throws {UsageError} when the name is taken, or the tables cannot hold a value */
  async create(entry: NewEntry): Promise<DatabaseEntry> {
    return this.#change(entry.name, async (tx, row) => {
      if (row !== undefined) throw new UsageError(`there is a periodic task ${JSON.stringify(entry.name)} already`);
      await this.#insert(tx, entry);
    });
  }

  /** Changes what is given and nothing else. @throws {UsageError} when there is none of that name, or a value cannot be */
  async update(name: string, fields: EntryFields): Promise<DatabaseEntry> {
    return this.#change(name, async (tx, row) => {
      if (row === undefined) throw unknown(name);
      return this.#update(tx, row, fields);
    });
  }

  /** Creates or updates. Writes nothing when nothing differs. Source: `ModelEntry.from_entry`. */
  async put(entry: NewEntry): Promise<DatabaseEntry> {
    return this.#change(entry.name, (tx, row) =>
      row === undefined ? this.#insert(tx, entry) : this.#update(tx, row, entry),
    );
  }

  /** @returns whether there was one. Its schedule's row stays, as in Django. */
  async delete(name: string): Promise<boolean> {
    return this.#database.write(async (tx) => {
      const { numDeletedRows } = await tx.deleteFrom(TASKS).where('name', '=', name).executeTakeFirst();
      if (numDeletedRows === 0n) return false;
      await markChanged(tx, this.#database);
      return true;
    });
  }

  async enable(name: string): Promise<void> {
    await this.#switch(name, true);
  }

  /** Forgets the last run, as Django does. */
  async disable(name: string): Promise<void> {
    await this.#switch(name, false);
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Works on rows that cannot be read, too. */
  async #switch(name: string, enabled: boolean): Promise<void> {
    await this.#database.write(async (tx) => {
      const row = await rowOf(tx, name);
      if (row === undefined) throw unknown(name);
      await this.#update(tx, row, { enabled });
    });
  }

  async #change(name: string, work: (tx: Tx, row: TaskRow | undefined) => Promise<void>): Promise<DatabaseEntry> {
    const row = await this.#database.write(async (tx) => {
      await work(tx, await rowOf(tx, name));
      return (await rowOf(tx, name)) as TaskRow;
    });
    return entryOf(row, this.#database);
  }

  async #insert(tx: Tx, { name, task, schedule, ...fields }: NewEntry): Promise<void> {
    const truth = (value: boolean): boolean | number => this.#database.truth(value);
    const row = {
      expires: null,
      expire_seconds: null,
      args: '[]',
      kwargs: '{}',
      headers: '{}',
      one_off: truth(schedule instanceof Clocked),
      enabled: truth(true),
      total_run_count: 0,
      description: '',
      ...(await this.#columns(tx, { ...fields, task, schedule })),
      name,
      date_changed: this.#now(),
    } as Insertable<TaskTable>;
    validate(row);
    await tx.insertInto(TASKS).values(row).execute();
    await markChanged(tx, this.#database);
  }

  async #update(tx: Tx, row: TaskRow, fields: EntryFields): Promise<void> {
    const wanted = await this.#columns(tx, fields);
    const changed = Object.fromEntries(
      Object.entries(wanted).filter(([column, value]) => this.#differs(column, row[column as keyof TaskRow], value)),
    ) as Columns;
    if (Object.keys(changed).length === 0) return;
    const merged = { ...row, ...changed };
    validate(merged);
    if (!merged.enabled) changed.last_run_at = null;
    await tx
      .updateTable(TASKS)
      .set({ ...changed, date_changed: this.#now() })
      .where('id', '=', row.id)
      .execute();
    await markChanged(tx, this.#database);
  }

  /** The columns of the fields that are given. */
  async #columns(tx: Tx, fields: EntryFields): Promise<Columns> {
    const { moments } = this.#database;
    const columns: Columns = {};
    const { task, schedule, args, kwargs, headers, priority, expires, expireSeconds } = fields;
    const { oneOff, startTime, enabled, description } = fields;
    if (task !== undefined) columns.task = task;
    if (schedule !== undefined) {
      const context = { moments, timezone: this.#timezone };
      Object.assign(columns, await scheduleColumns(tx, schedule, context));
    }
    if (args !== undefined) columns.args = pythonJson(args);
    if (kwargs !== undefined) columns.kwargs = pythonJson(kwargs);
    if (headers !== undefined) columns.headers = pythonJson(headers ?? {});
    if (fields.queue !== undefined) columns.queue = fields.queue || null;
    if (fields.exchange !== undefined) columns.exchange = fields.exchange || null;
    if (fields.routingKey !== undefined) columns.routing_key = fields.routingKey || null;
    if (priority !== undefined) columns.priority = priority;
    if (expires !== undefined) columns.expires = expires && moments.write(expires.getTime());
    if (expireSeconds !== undefined) columns.expire_seconds = expireSeconds;
    if (startTime !== undefined) columns.start_time = startTime && moments.write(startTime.getTime());
    if (oneOff !== undefined) columns.one_off = this.#database.truth(oneOff);
    if (enabled !== undefined) columns.enabled = this.#database.truth(enabled);
    if (description !== undefined) columns.description = description;
    return columns;
  }

  #differs(column: string, is: unknown, wanted: unknown): boolean {
    if (column === 'one_off' || column === 'enabled') return Boolean(is) !== Boolean(wanted);
    if ((column === 'expires' || column === 'start_time') && is !== null && wanted !== null) {
      const { moments } = this.#database;
      return moments.read(is as string) !== moments.read(wanted as string);
    }
    return is !== wanted;
  }

  #now(): string {
    return this.#database.stamps.write(this.#database.clock.now());
  }

  #entry(row: TaskRow): DatabaseEntry | BrokenEntry {
    try {
      return entryOf(row, this.#database);
    } catch (error) {
      if (!(error instanceof BrokenRow)) throw error;
      const { id, name, task, enabled } = row;
      return { id, name, task, enabled: Boolean(enabled), problem: error.message };
    }
  }
}

const unknown = (name: string): UsageError => new UsageError(`there is no periodic task ${JSON.stringify(name)}`);

/** Source: `PeriodicTask.validate_unique`, `_clean_expires` and the validators of the fields. */
function validate(row: Columns): void {
  const fail = (why: string): never => {
    throw new UsageError(`periodic task ${JSON.stringify(row.name)}: ${why}`);
  };
  if (typeof row.name !== 'string' || row.name === '') fail('a name is a text that is not empty');
  if (typeof row.task !== 'string' || row.task === '') fail('a task is a text that is not empty');
  for (const column of ['name', 'task', 'queue', 'exchange', 'routing_key'] as const) {
    const length = row[column]?.length ?? 0;
    if (length > 200) fail(`${column} has at most 200 characters, got ${length}`);
  }
  const { priority, expires, expire_seconds: seconds, clocked_id: clocked, one_off: oneOff } = row;
  if (priority != null && !(Number.isInteger(priority) && priority >= 0 && priority <= 255)) {
    fail(`priority is a whole number from 0 to 255, got ${priority}`);
  }
  if (seconds != null && !(Number.isInteger(seconds) && seconds >= 0)) {
    fail(`expireSeconds is a whole number, got ${seconds}`);
  }
  if (expires != null && seconds != null) fail('only one of expires and expireSeconds can be set');
  if (clocked != null && !oneOff) fail('a clocked schedule runs once: oneOff is true');
}

async function rowOf(db: Parameters<typeof readTasks>[0], name: string): Promise<TaskRow | undefined> {
  const [row] = await readTasks(db, { name });
  return row;
}
