import type { Kysely, RawBuilder, Transaction } from 'kysely';
import { CeleryError, OperationalError } from '../../errors.ts';
import { withDeadline, type Clock } from '../../runtime/clock.ts';
import { maskUrl } from '../../runtime/mask-url.ts';
import { optional } from '../../runtime/optional.ts';
import { dialectOf, type Dialect } from '../django/dialect.ts';
import type { Edit } from '../edits.ts';
import type { LoadContext, RunState } from '../schedule-store.ts';
import { fenceOf, type Shared, type SharedChanges, type SharedDatabase } from './database.ts';
import { WORDS, type Sql, type Words } from './sql-words.ts';

/*
 * Tables celeriac_beat (a row for each schedule: its lease, what its states were made with, how often it was edited),
 * celeriac_beat_state and celeriac_beat_edit; made where they are missing. The server's clock measures leases.
 *
 * Who holds the lease is read with a lock on the row: between that and the end of the transaction nobody takes it.
 */

const WHAT = 'a schedule in a SQL database';
const QUERY_MS = 10_000;
const CLOSE_MS = 5000;
/** Of a lease: the longest silence within a transaction. Longer than the time between two renewals. */
const GUARD = 0.5;
/** Rows in one statement; databases limit their parameters. */
const BATCH = 1000;

type Tx = Transaction<unknown>;
interface Open {
  readonly db: Kysely<unknown>;
  readonly sql: Sql;
  cut(): void;
}

/** A schedule in PostgreSQL, MySQL or MariaDB. One connection, made by the first call and again by the first one after it broke. */
export class SqlSchedule implements SharedDatabase {
  readonly name: string;
  readonly #dialect: Dialect;
  readonly #words: Words;
  readonly #schedule: string;
  readonly #guardMs: number;
  readonly #clock: Clock;
  #current: Promise<Open> | undefined;
  #closed = false;

  /** @param leaseMs how long a lease of this schedule is */
  constructor(url: string, schedule: string, leaseMs: number, clock: Clock) {
    this.#dialect = dialectOf(url, 'UTC');
    this.#words = WORDS[this.#dialect.kind as keyof typeof WORDS];
    this.#schedule = schedule;
    this.#guardMs = leaseMs * GUARD;
    this.#clock = clock;
    this.name = `${maskUrl(url)} (${schedule})`;
  }

  async #open(): Promise<Open> {
    this.#current ??= this.#connect();
    try {
      return await this.#current;
    } catch (error) {
      this.#current = undefined;
      throw error;
    }
  }

  async #connect(): Promise<Open> {
    const { Kysely: Database, sql } = await optional('kysely', WHAT, () => import('kysely'));
    const { dialect, cut } = await this.#dialect.connect();
    const db = new Database<unknown>({ dialect });
    try {
      await this.#timely(
        db.transaction().execute(async (tx) => {
          for (const text of this.#words.schema) await sql.raw(text).execute(tx);
          await sql`INSERT INTO celeriac_beat VALUES (${this.#schedule}, '', 0, ${this.#words.never}, NULL, 0)
            ${this.#words.otherwise(sql, 'schedule')}`.execute(tx);
        }),
      );
    } catch (cause) {
      cut();
      void db.destroy().catch(() => {});
      throw this.#unusable(cause);
    }
    return { db, sql, cut };
  }

  #timely<T>(work: Promise<T>): Promise<T> {
    return withDeadline(this.#clock, QUERY_MS, work, () => new Error(`no answer within ${QUERY_MS / 1000} s`));
  }

  #unusable(cause: unknown): OperationalError {
    const why = cause instanceof Error ? cause.message || String((cause as { code?: unknown }).code) : String(cause);
    return new OperationalError(`the database ${this.name} cannot be used: ${why}`, { cause, recoverable: true });
  }

  /** One transaction. A connection that fails or does not answer is given up whole. */
  async #write<T>(work: (tx: Tx, sql: Sql) => Promise<T>): Promise<T> {
    if (this.#closed) throw new OperationalError(`the database ${this.name} is closed`, { recoverable: false });
    const { db, sql, cut } = await this.#open();
    try {
      return await this.#timely(
        db.transaction().execute(async (tx) => {
          await this.#words.guard(sql, this.#guardMs).execute(tx);
          return work(tx, sql);
        }),
      );
    } catch (cause) {
      this.#current = undefined;
      cut();
      void db.destroy().catch(() => {});
      throw CeleryError.is(cause) ? cause : this.#unusable(cause);
    }
  }

  campaign(holder: string, ttlMs: number): Promise<string | undefined> {
    const [schedule, words] = [this.#schedule, this.#words];
    return this.#write(async (tx, sql) => {
      const query = sql`SELECT epoch, holder, until <= ${words.now(sql)} AS ended FROM celeriac_beat
        WHERE schedule = ${schedule} FOR UPDATE`;
      const [row] = await rows<{ epoch: string | number; holder: string; ended: boolean | number }>(tx, query);
      if (row === undefined || (row.holder !== holder && !row.ended)) return undefined;
      const epoch = Number(row.epoch) + (row.holder === holder ? 0 : 1);
      await sql`UPDATE celeriac_beat SET epoch = ${epoch}, holder = ${holder}, until = ${words.later(sql, ttlMs)}
        WHERE schedule = ${schedule}`.execute(tx);
      return fenceOf(epoch, holder);
    });
  }

  /** Nobody takes the lease before the transaction ends. */
  async #fence(tx: Tx, sql: Sql): Promise<string | undefined> {
    const query = sql`SELECT epoch, holder FROM celeriac_beat WHERE schedule = ${this.#schedule} FOR UPDATE`;
    const [row] = await rows<{ epoch: string; holder: string }>(tx, query);
    return row === undefined || row.holder === '' ? undefined : fenceOf(Number(row.epoch), row.holder);
  }

  async resign(fence: string): Promise<void> {
    await this.#write(async (tx, sql) => {
      if ((await this.#fence(tx, sql)) !== fence) return;
      await sql`UPDATE celeriac_beat SET holder = '', until = ${this.#words.never} WHERE schedule = ${this.#schedule}`.execute(
        tx,
      );
    });
  }

  read(): Promise<Shared> {
    const schedule = this.#schedule;
    return this.#write(async (tx, sql) => {
      const one = sql`SELECT context FROM celeriac_beat WHERE schedule = ${schedule} FOR UPDATE`;
      const [row] = await rows<{ context: string | null }>(tx, one);
      const states = sql`SELECT name, state AS json FROM celeriac_beat_state WHERE schedule = ${schedule}`;
      const edits = sql`SELECT name, edit AS json FROM celeriac_beat_edit WHERE schedule = ${schedule}`;
      return {
        context: row?.context == null ? undefined : (JSON.parse(row.context) as LoadContext),
        states: parsed<RunState>(await rows(tx, states)),
        edits: parsed<Edit>(await rows(tx, edits)),
      };
    });
  }

  version(): Promise<number> {
    return this.#write(async (tx, sql) => {
      const query = sql`SELECT version FROM celeriac_beat WHERE schedule = ${this.#schedule}`;
      return Number((await rows<{ version: string }>(tx, query))[0]?.version ?? 0);
    });
  }

  save(fence: string, { context, states, gone }: SharedChanges): Promise<boolean> {
    const schedule = this.#schedule;
    return this.#write(async (tx, sql) => {
      if ((await this.#fence(tx, sql)) !== fence) return false;
      await sql`UPDATE celeriac_beat SET context = ${JSON.stringify(context)} WHERE schedule = ${schedule}`.execute(tx);
      for (const names of batches(gone)) {
        const these = sql`schedule = ${schedule} AND name IN (${sql.join(names)})`;
        await sql`DELETE FROM celeriac_beat_state WHERE ${these}`.execute(tx);
      }
      for (const batch of batches([...states])) {
        const values = batch.map(([name, state]) => sql`(${schedule}, ${name}, ${JSON.stringify(state)})`);
        await sql`INSERT INTO celeriac_beat_state (schedule, name, state) VALUES ${sql.join(values)}
          ${this.#words.otherwise(sql, 'state')}`.execute(tx);
      }
      return true;
    });
  }

  async change(name: string, update: (edit: Edit | undefined) => Edit | undefined): Promise<void> {
    const schedule = this.#schedule;
    await this.#write(async (tx, sql) => {
      // Counting first locks the row: editors come one after the other.
      await sql`UPDATE celeriac_beat SET version = version + 1 WHERE schedule = ${schedule}`.execute(tx);
      const query = sql`SELECT edit FROM celeriac_beat_edit WHERE schedule = ${schedule} AND name = ${name}`;
      const [before] = await rows<{ edit: string }>(tx, query);
      const edit = update(before === undefined ? undefined : (JSON.parse(before.edit) as Edit));
      if (edit === undefined) {
        await sql`DELETE FROM celeriac_beat_edit WHERE schedule = ${schedule} AND name = ${name}`.execute(tx);
      } else {
        await sql`INSERT INTO celeriac_beat_edit (schedule, name, edit) VALUES (${schedule}, ${name}, ${JSON.stringify(edit)})
          ${this.#words.otherwise(sql, 'edit')}`.execute(tx);
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const open = await this.#current?.catch(() => undefined);
    this.#current = undefined;
    if (open === undefined) return;
    const gone = open.db.destroy().catch(() => {});
    await withDeadline(this.#clock, CLOSE_MS, gone, () => new Error('no answer')).catch(() => open.cut());
  }
}

async function rows<T>(tx: Tx, query: RawBuilder<unknown>): Promise<T[]> {
  return (await query.execute(tx)).rows as T[];
}

function parsed<T>(found: readonly { readonly name: string; readonly json: string }[]): Map<string, T> {
  return new Map(found.map(({ name, json }) => [name, JSON.parse(json) as T]));
}

function* batches<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += BATCH) yield all.slice(at, at + BATCH);
}
