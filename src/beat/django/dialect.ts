import { isAbsolute, resolve } from 'node:path';
import type { Dialect as SqlDialect } from 'kysely';
import { ImproperlyConfigured } from '../../errors.ts';
import { maskUrl } from '../../runtime/mask-url.ts';
import { optional } from '../../runtime/optional.ts';

export type DatabaseKind = 'postgresql' | 'mysql' | 'sqlite';

/** What the databases do not have in common. */
export interface Dialect {
  readonly kind: DatabaseKind;
  /** A fresh connection, opened by its first query. */
  connect(): Promise<Link>;
}

export interface Link {
  readonly dialect: SqlDialect;
  /** Cuts the connection without waiting for the server. */
  cut(): void;
}

const WHAT = 'the database scheduler';
const CONNECT_MS = 10_000;
/** SQLite waits by blocking; the rest of the waiting is done in between (`database.ts`). */
const BUSY_MS = 100;

const KINDS: Readonly<Record<string, DatabaseKind>> = {
  postgresql: 'postgresql',
  postgres: 'postgresql',
  postgis: 'postgresql',
  pgsql: 'postgresql',
  mysql: 'mysql',
  mysql2: 'mysql',
  mariadb: 'mysql',
  sqlite: 'sqlite',
  sqlite3: 'sqlite',
};

/**
 * Takes URLs as Django projects (dj-database-url) and SQLAlchemy write them: `postgresql://user:password@host/db`,
 * `mysql+pymysql://…`, `sqlite:///relative.sqlite3`, `sqlite:////absolute.sqlite3`.
 * @param timezone of the session, where the database converts moments itself (PostgreSQL)
 * @throws {ImproperlyConfigured} for another scheme
 */
export function dialectOf(url: string, timezone: string): Dialect {
  const [, scheme = '', rest = ''] = /^([a-z\d]+)(?:\+[a-z\d_]+)?:(.*)$/is.exec(url.trim()) ?? [];
  const kind = KINDS[scheme.toLowerCase()];
  if (kind === 'postgresql') return { kind, connect: () => postgresql(`postgresql:${rest}`, timezone) };
  if (kind === 'mysql') return { kind, connect: () => mysql(`mysql:${rest}`) };
  if (kind === 'sqlite') return { kind, connect: () => sqlite(rest) };
  throw new ImproperlyConfigured(
    `${WHAT} expects postgresql://, mysql:// or sqlite:///file, got ${JSON.stringify(maskUrl(url))}`,
  );
}

const kysely = (): Promise<typeof import('kysely')> => optional('kysely', WHAT, () => import('kysely'));

const TIMESTAMPS: readonly number[] = [1114, 1184];

/** The driver has no call that ends a connection at once. */
interface Cuttable {
  readonly connection: { readonly stream: { destroy(): unknown } };
}

async function postgresql(connectionString: string, timezone: string): Promise<Link> {
  const { PostgresDialect } = await kysely();
  const { default: pg } = await optional('pg', WHAT, () => import('pg'));
  const pool = new pg.Pool({
    connectionString,
    max: 1,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    options: `-c timezone=${timezone}`,
    application_name: 'celeriac beat',
    // As texts: a Date has no microseconds.
    types: {
      getTypeParser: ((oid: number, format?: 'text') =>
        TIMESTAMPS.includes(oid) ? (text: string) => text : pg.types.getTypeParser(oid, format)) as never,
    },
  });
  // An idle connection that breaks is opened again by the next query; without a listener it would end the process.
  pool.on('error', () => {});
  const open = new Set<Cuttable>();
  pool.on('connect', (client) => {
    // Also between two queries of a transaction; the next one fails then.
    client.on('error', () => {});
    open.add(client as unknown as Cuttable);
  });
  pool.on('remove', (client) => void open.delete(client as unknown as Cuttable));
  const cut = (): void => open.forEach(({ connection }) => void connection.stream.destroy());
  return { dialect: new PostgresDialect({ pool }), cut };
}

async function mysql(uri: string): Promise<Link> {
  const { MysqlDialect } = await kysely();
  const { createPool } = await optional('mysql2', WHAT, () => import('mysql2'));
  const pool = createPool({
    uri,
    connectionLimit: 1,
    connectTimeout: CONNECT_MS,
    enableKeepAlive: true,
    dateStrings: true,
    charset: 'utf8mb4',
    // As Python counts: rows that were found, whether or not they differed.
    flags: ['FOUND_ROWS'],
  });
  const open = new Set<{ destroy(): void }>();
  pool.on('connection', (connection) => {
    open.add(connection);
    connection.on('error', () => {});
    connection.on('end', () => void open.delete(connection));
  });
  return { dialect: new MysqlDialect({ pool }), cut: () => open.forEach((connection) => connection.destroy()) };
}

async function sqlite(rest: string): Promise<Link> {
  const path = decodeURIComponent(/^\/\/\/([^?]+)/.exec(rest)?.[1] ?? '');
  if (path === '')
    throw new ImproperlyConfigured(`${WHAT} expects sqlite:///relative.sqlite3 or sqlite:////absolute.sqlite3`);
  const { SqliteDialect } = await kysely();
  const { default: Libsql } = await import('libsql');
  const file = isAbsolute(path) ? path : resolve(path);
  // Django's journal mode is left as it is: the file is Django's.
  const database = new Libsql(file, { timeout: BUSY_MS } as object);
  database.exec('PRAGMA foreign_keys = ON');
  return { dialect: new SqliteDialect({ database: database as never }), cut: () => {} };
}
