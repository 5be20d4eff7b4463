import type { Clock } from '../../runtime/clock.ts';
import { Database, type Statement } from '../../sqlite/database.ts';
import { parseSqliteUrl } from '../../sqlite/url.ts';
import type { Edit } from '../edits.ts';
import type { LoadContext, RunState } from '../schedule-store.ts';
import { fenceOf, type Shared, type SharedChanges, type SharedDatabase } from './database.ts';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS celeriac_beat (
  schedule TEXT PRIMARY KEY, holder TEXT NOT NULL, epoch INTEGER NOT NULL, until_ms REAL NOT NULL,
  context TEXT, version INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS celeriac_beat_state (
  schedule TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (schedule, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS celeriac_beat_edit (
  schedule TEXT NOT NULL, name TEXT NOT NULL, edit TEXT NOT NULL, PRIMARY KEY (schedule, name)
) WITHOUT ROWID;
`;

const SQL = {
  begin: `INSERT OR IGNORE INTO celeriac_beat VALUES (?, '', 0, 0, NULL, 0)`,
  take: `UPDATE celeriac_beat SET epoch = epoch + (holder <> ?2), holder = ?2, until_ms = ?3
    WHERE schedule = ?1 AND (until_ms <= ?4 OR holder = ?2)`,
  lease: 'SELECT epoch, holder, until_ms FROM celeriac_beat WHERE schedule = ?',
  free: 'UPDATE celeriac_beat SET holder = ?2, until_ms = 0 WHERE schedule = ?1',
  meta: 'SELECT context, version FROM celeriac_beat WHERE schedule = ?',
  context: 'UPDATE celeriac_beat SET context = ?2 WHERE schedule = ?1',
  count: 'UPDATE celeriac_beat SET version = version + 1 WHERE schedule = ?',
  states: 'SELECT name, state FROM celeriac_beat_state WHERE schedule = ?',
  putState: 'INSERT OR REPLACE INTO celeriac_beat_state VALUES (?, ?, ?)',
  dropState: 'DELETE FROM celeriac_beat_state WHERE schedule = ? AND name = ?',
  edits: 'SELECT name, edit FROM celeriac_beat_edit WHERE schedule = ?',
  edit: 'SELECT edit FROM celeriac_beat_edit WHERE schedule = ? AND name = ?',
  putEdit: 'INSERT OR REPLACE INTO celeriac_beat_edit VALUES (?, ?, ?)',
  dropEdit: 'DELETE FROM celeriac_beat_edit WHERE schedule = ? AND name = ?',
} as const;
type Statements = { readonly [K in keyof typeof SQL]: Statement };

/** A schedule in a SQLite file, which may be the embedded broker's: several beats of one machine. */
export class SqliteSchedule implements SharedDatabase {
  readonly name: string;
  readonly #database: Database;
  readonly #schedule: string;
  readonly #clock: Clock;
  readonly #sql: Statements;

  static async open(url: string, schedule: string, clock: Clock): Promise<SqliteSchedule> {
    const { file } = parseSqliteUrl(url);
    return new SqliteSchedule(await Database.open(file, SCHEMA, clock, 'FULL'), schedule, clock);
  }

  private constructor(database: Database, schedule: string, clock: Clock) {
    this.#database = database;
    this.#schedule = schedule;
    this.#clock = clock;
    this.name = `${database.file} (${schedule})`;
    const entries = Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)]);
    this.#sql = Object.fromEntries(entries) as Statements;
  }

  campaign(holder: string, ttlMs: number): Promise<string | undefined> {
    const schedule = this.#schedule;
    return this.#database.write(() => {
      const nowMs = this.#clock.now();
      this.#sql.begin.run(schedule);
      // A lease that was given up and taken again by the same beat is a new one.
      if (this.#sql.take.run(schedule, holder, nowMs + ttlMs, nowMs) === 0) return undefined;
      return this.#fence();
    });
  }

  /** Of the lease that is held now; a lease that is over fences nobody off until another takes it. */
  #fence(): string | undefined {
    const [epoch, holder] = this.#sql.lease.first(this.#schedule) ?? [];
    return holder === undefined || holder === '' ? undefined : fenceOf(Number(epoch), String(holder));
  }

  async resign(fence: string): Promise<void> {
    await this.#database.write(() => {
      if (this.#fence() === fence) this.#sql.free.run(this.#schedule, '');
    });
  }

  read(): Promise<Shared> {
    return this.#database.write(() => {
      const [context = null] = this.#sql.meta.first(this.#schedule) ?? [];
      return {
        states: parsed<RunState>(this.#sql.states.all(this.#schedule)),
        edits: parsed<Edit>(this.#sql.edits.all(this.#schedule)),
        context: context === null ? undefined : (JSON.parse(String(context)) as LoadContext),
      };
    });
  }

  async version(): Promise<number> {
    return Number(this.#sql.meta.first(this.#schedule)?.[1] ?? 0);
  }

  save(fence: string, { context, states, gone }: SharedChanges): Promise<boolean> {
    const schedule = this.#schedule;
    return this.#database.write(() => {
      if (this.#fence() !== fence) return false;
      this.#sql.context.run(schedule, JSON.stringify(context));
      for (const name of gone) this.#sql.dropState.run(schedule, name);
      for (const [name, state] of states) this.#sql.putState.run(schedule, name, JSON.stringify(state));
      return true;
    });
  }

  async change(name: string, update: (edit: Edit | undefined) => Edit | undefined): Promise<void> {
    const schedule = this.#schedule;
    await this.#database.write(() => {
      const [before] = this.#sql.edit.first(schedule, name) ?? [];
      const edit = update(before === undefined ? undefined : (JSON.parse(String(before)) as Edit));
      this.#sql.begin.run(schedule);
      if (edit === undefined) this.#sql.dropEdit.run(schedule, name);
      else this.#sql.putEdit.run(schedule, name, JSON.stringify(edit));
      this.#sql.count.run(schedule);
    });
  }

  async close(): Promise<void> {
    this.#database.close();
  }
}

function parsed<T>(rows: readonly (readonly unknown[])[]): Map<string, T> {
  return new Map(rows.map(([name, json]) => [String(name), JSON.parse(String(json)) as T]));
}
