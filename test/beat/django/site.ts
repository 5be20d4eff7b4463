import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missing } from '../../support/available.ts';
import { django, onMariadb, onPostgres, onSqlite, type Django, type DjangoProject } from '../../support/django.ts';
import { startMariadb, startPostgres, type SqlServer } from '../../support/sql-servers.ts';

/** A database with the tables of real migrations, and Django beside it. */
export interface Site {
  readonly url: string;
  readonly project: DjangoProject;
  readonly python: Django;
  /** Absent where the database is a file. */
  readonly server: SqlServer | undefined;
  close(): Promise<void>;
}

export interface Place {
  /** Why it cannot be tested here. */
  readonly why: string | undefined;
  readonly open: (settings?: Readonly<Record<string, unknown>>) => Promise<Site>;
}

async function site(
  url: string,
  project: DjangoProject,
  server: SqlServer | undefined,
  clean: () => Promise<void> | void,
): Promise<Site> {
  const python = django(project);
  const close = async (): Promise<void> => {
    await python[Symbol.asyncDispose]();
    await clean();
  };
  try {
    await python.run(`call_command("migrate", verbosity=0)`);
  } catch (error) {
    await close();
    throw error;
  }
  return { url, project, python, server, close };
}

export const PLACES: Readonly<Record<'SQLite' | 'PostgreSQL' | 'MariaDB', Place>> = {
  SQLite: {
    why: undefined,
    open: async (settings = {}) => {
      const dir = mkdtempSync(join(tmpdir(), 'celeriac-django-'));
      const file = join(dir, 'db.sqlite3');
      const clean = () => rmSync(dir, { recursive: true, force: true });
      return site(`sqlite:///${file}`, { database: onSqlite(file), settings }, undefined, clean);
    },
  },
  PostgreSQL: {
    why: missing('postgresql'),
    open: async (settings = {}) => {
      const server = await startPostgres();
      const clean = async () => server[Symbol.asyncDispose]();
      return site(server.url, { database: onPostgres(server), settings }, server, clean);
    },
  },
  MariaDB: {
    why: missing('mariadb'),
    open: async (settings = {}) => {
      const server = await startMariadb();
      const clean = async () => server[Symbol.asyncDispose]();
      return site(server.url, { database: onMariadb(server), settings }, server, clean);
    },
  },
};
