import type { Kysely, Transaction } from 'kysely';
import { CeleryError, OperationalError } from '../../errors.ts';
import { sleep, withDeadline, type Clock } from '../../runtime/clock.ts';
import { maskUrl } from '../../runtime/mask-url.ts';
import { optional } from '../../runtime/optional.ts';
import { dialectOf, type DatabaseKind, type Dialect } from './dialect.ts';
import { Moments } from './moments.ts';
import type { Tables } from './tables.ts';

/** How a Django project is set up; the names are those of its settings. */
export interface DjangoOptions {
  /**
   * `USE_TZ`: whether moments in the tables are instants. Without it Django writes local times, and its beat reads
   * those that matter for scheduling as UTC. @default true
   */
  readonly useTz?: boolean | undefined;
  /**
   * With `useTz`, `TIME_ZONE` of the entry in `DATABASES`: the zone of moments in MySQL and SQLite. Without `useTz`,
   * the project's `TIME_ZONE`. @default 'UTC'
   */
  readonly timeZone?: string | undefined;
  /** `DJANGO_CELERY_BEAT_TZ_AWARE`: whether a crontab's own time zone counts. @default as `useTz` */
  readonly tzAware?: boolean | undefined;
}

export type Db = Kysely<Tables>;
interface Open {
  readonly db: Db;
  cut(): void;
}

export type Tx = Transaction<Tables>;

const QUERY_MS = 30_000;
const CLOSE_MS = 5000;
const RETRY_MS = 20;
const NO_TABLES = 'it has no tables of django-celery-beat; its migrations make them';

/** Serialization failure, deadlock, lock, a row that another made first: the same transaction may succeed now. */
const CONTENTION =
  /^(40001|40P01|55P03|23505|ER_LOCK_DEADLOCK|ER_LOCK_WAIT_TIMEOUT|ER_DUP_ENTRY|SQLITE_(BUSY|LOCKED).*|SQLITE_CONSTRAINT_UNIQUE)$/;
const MISSING_TABLE = /^42P01 |^ER_NO_SUCH_TABLE |no such table/;

/**
 * The database with django-celery-beat's tables. One connection, opened on first use; one that breaks or does not
 * answer is given up whole, and the next query opens another.
 */
export class DjangoDatabase implements AsyncDisposable {
  /** For people. */
  readonly name: string;
  readonly kind: DatabaseKind;
  readonly tzAware: boolean;
  /** Columns that beat reads and writes: last runs, start, expiry, clocked times. */
  readonly moments: Moments;
  /** Columns that only Django's own clock writes: `date_changed` and `last_update`. */
  readonly stamps: Moments;
  readonly clock: Clock;
  readonly #dialect: Dialect;
  #current: Promise<Open> | undefined;
  #closed = false;

  constructor(url: string, { useTz = true, timeZone = 'UTC', tzAware = useTz }: DjangoOptions, clock: Clock) {
    this.name = maskUrl(url);
    this.clock = clock;
    this.tzAware = tzAware;
    this.#dialect = dialectOf(url, useTz ? 'UTC' : timeZone);
    this.kind = this.#dialect.kind;
    const offset = this.kind === 'postgresql' && useTz;
    const stored = offset ? 'UTC' : timeZone;
    this.moments = new Moments(useTz ? stored : 'UTC', offset);
    this.stamps = new Moments(stored, offset);
  }

  /** A truth value as the driver takes it. */
  truth(value: boolean): boolean | number {
    return this.kind === 'postgresql' ? value : Number(value);
  }

  /** @throws {OperationalError} when the database is out of reach, busy for too long, or has no such tables */
  async read<T>(work: (db: Db) => Promise<T>): Promise<T> {
    return this.#attempt(work);
  }

  /** All of `work` happens or nothing; it may be run again, so it has no other effects. */
  async write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#attempt((db) => db.transaction().execute(work));
  }

  async #attempt<T>(work: (db: Db) => Promise<T>): Promise<T> {
    const { clock } = this;
    const deadlineMs = clock.monotonic() + QUERY_MS;
    for (;;) {
      if (this.#closed) throw new OperationalError(`the database ${this.name} is closed`, { recoverable: false });
      const open = await this.#open();
      try {
        const leftMs = Math.max(1, deadlineMs - clock.monotonic());
        return await withDeadline(clock, leftMs, work(open.db), () => new NoAnswer());
      } catch (cause) {
        if (CeleryError.is(cause)) throw cause;
        const { code = '', message } = cause as { code?: string; message: string };
        if (!CONTENTION.test(code)) {
          this.#discard(open);
          throw this.#unusable(MISSING_TABLE.test(`${code} ${message}`) ? NO_TABLES : message || code, cause);
        }
        if (clock.monotonic() >= deadlineMs) throw this.#unusable(message, cause);
      }
      await sleep(clock, RETRY_MS);
    }
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
    const { Kysely } = await optional('kysely', 'the database scheduler', () => import('kysely'));
    const { dialect, cut } = await this.#dialect.connect();
    return { db: new Kysely<Tables>({ dialect }), cut };
  }

  #discard({ db, cut }: Open): void {
    this.#current = undefined;
    cut();
    void db.destroy().catch(() => {});
  }

  #unusable(why: string, cause?: unknown): OperationalError {
    return new OperationalError(`the database ${this.name} cannot be used: ${why}`, { cause, recoverable: true });
  }

  /** Harmless twice. */
  async close(): Promise<void> {
    this.#closed = true;
    const open = await this.#current?.catch(() => undefined);
    this.#current = undefined;
    if (open === undefined) return;
    const gone = open.db.destroy().catch(() => {});
    await withDeadline(this.clock, CLOSE_MS, gone, () => new NoAnswer()).catch(() => open.cut());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

class NoAnswer extends Error {
  constructor() {
    super('no answer');
  }
}
