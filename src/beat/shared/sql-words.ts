import type { RawBuilder } from 'kysely';

export type Sql = typeof import('kysely').sql;

/** What the databases do not say alike. Times are the server's. */
export interface Words {
  /** Made where they are missing; one that others make at the same time is no error. */
  readonly schema: readonly string[];
  /** A moment that is over. */
  readonly never: string;
  /**
   * First in a transaction: the server gives it up, and its locks, when its beat says nothing for so long. A leader that is
   * stopped in the middle of one would else keep the others from leading.
   */
  guard(sql: Sql, ms: number): RawBuilder<unknown>;
  now(sql: Sql): RawBuilder<unknown>;
  later(sql: Sql, ms: number): RawBuilder<unknown>;
  /** After `INSERT`, for a row that is there: `column` is replaced. Without a column the row stays as it is. */
  otherwise(sql: Sql, column: 'state' | 'edit' | 'schedule'): RawBuilder<unknown>;
}

const postgresql: Words = {
  schema: [
    // Two that create a table at once would fail over its type.
    `SELECT pg_advisory_xact_lock(5236791)`,
    `CREATE TABLE IF NOT EXISTS celeriac_beat (
      schedule text PRIMARY KEY, holder text NOT NULL, epoch bigint NOT NULL, until timestamptz NOT NULL,
      context text, version bigint NOT NULL)`,
    `CREATE TABLE IF NOT EXISTS celeriac_beat_state (
      schedule text NOT NULL, name text NOT NULL, state text NOT NULL, PRIMARY KEY (schedule, name))`,
    `CREATE TABLE IF NOT EXISTS celeriac_beat_edit (
      schedule text NOT NULL, name text NOT NULL, edit text NOT NULL, PRIMARY KEY (schedule, name))`,
  ],
  never: '1970-01-01 00:00:00+00',
  guard: (sql, ms) => sql.raw(`SET LOCAL idle_in_transaction_session_timeout = ${Math.ceil(ms)}`),
  now: (sql) => sql`clock_timestamp()`,
  later: (sql, ms) => sql`clock_timestamp() + ${ms}::float8 * interval '1 millisecond'`,
  otherwise: (sql, column) =>
    column === 'schedule'
      ? sql`ON CONFLICT DO NOTHING`
      : sql`ON CONFLICT (schedule, name) DO UPDATE SET ${sql.ref(column)} = excluded.${sql.ref(column)}`,
};

const TEXT = 'CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL';
/** Letters, accents and case count; as long as a key may be. */
const KEY = `schedule varchar(190) ${TEXT}, name varchar(500) ${TEXT}, PRIMARY KEY (schedule, name)`;

const mysql: Words = {
  schema: [
    `CREATE TABLE IF NOT EXISTS celeriac_beat (
      schedule varchar(190) ${TEXT} PRIMARY KEY, holder varchar(500) ${TEXT}, epoch bigint NOT NULL,
      until datetime(3) NOT NULL, context text, version bigint NOT NULL) ENGINE=InnoDB`,
    `CREATE TABLE IF NOT EXISTS celeriac_beat_state (${KEY}, state mediumtext ${TEXT}) ENGINE=InnoDB`,
    `CREATE TABLE IF NOT EXISTS celeriac_beat_edit (${KEY}, edit mediumtext ${TEXT}) ENGINE=InnoDB`,
  ],
  never: '1970-01-01 00:00:00',
  // Ends the connection also between transactions; the next one opens another.
  guard: (sql, ms) => sql.raw(`SET SESSION wait_timeout = ${Math.ceil(ms / 1000)}`),
  // Of when the statement began, before it waited for a lock: a lease is rather seen as held than as over.
  now: (sql) => sql`UTC_TIMESTAMP(3)`,
  later: (sql, ms) => sql`UTC_TIMESTAMP(3) + INTERVAL ${Math.round(ms * 1000)} MICROSECOND`,
  otherwise: (sql, column) => sql`ON DUPLICATE KEY UPDATE ${sql.ref(column)} = VALUES(${sql.ref(column)})`,
};

export const WORDS: Readonly<Record<'postgresql' | 'mysql', Words>> = { postgresql, mysql };
