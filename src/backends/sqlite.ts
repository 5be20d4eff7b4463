import { OperationalError } from '../errors.ts';
import { JSON_RESULTS, type ResultCodec, type ResultTuple, type Stored } from '../protocol/result.ts';
import { sleep, type Clock } from '../runtime/clock.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import { Database, type Statement, type Value } from '../sqlite/database.ts';
import { parseSqliteUrl } from '../sqlite/url.ts';
import type { DriverContext } from '../transports/transport.ts';
import type { BackendCapabilities, ResultBackend, ResultListener, ResultRecord, ResultWatch } from './backend.ts';
import type { BackendOptions } from './drivers.ts';
import { CHORD_SCHEMA, SqliteChords } from './sqlite-chords.ts';
import { Watchers } from './watchers.ts';

/*
 * Results beside the embedded broker.
 *
 * features   pushed results, chords, also across processes; expired ones are swept
 * URL        as the transport's: sqlite:///relative.db, sqlite:////absolute.db, sqlite://
 *
 * Each stored record gets a new, higher `seq`, so that whoever watches reads only what is new.
 */

const SCHEMA = `
CREATE TABLE IF NOT EXISTS result (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  task_id TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL,
  meta TEXT NOT NULL,
  expires INTEGER
);
CREATE INDEX IF NOT EXISTS result_expires ON result (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS result_group (group_id TEXT PRIMARY KEY, tuple TEXT NOT NULL, expires INTEGER) WITHOUT ROWID;
`;

const CAPABILITIES: BackendCapabilities = {
  push: true,
  expiry: 'sweep',
  chord: 'native',
  persistent: true,
  shared: true,
};

const SWEEP_MS = 60_000;
const MOST_READ = 500;
const MOST_WRITTEN = 500;

interface Statements {
  readonly store: Statement;
  readonly load: Statement;
  readonly since: Statement;
  readonly last: Statement;
  readonly forget: Statement;
  readonly saveGroup: Statement;
  readonly loadGroup: Statement;
  readonly deleteGroup: Statement;
  readonly sweep: Statement;
  readonly sweepGroups: Statement;
}

interface Opened {
  readonly db: Database;
  readonly sql: Statements;
}

class SqliteBackend implements ResultBackend {
  readonly name = 'sqlite';
  readonly displayUrl: string;
  readonly capabilities: BackendCapabilities = CAPABILITIES;
  readonly chords: SqliteChords;
  readonly #file: string;
  readonly #synchronous: string;
  readonly #lifetimeMs: number | null;
  readonly #context: DriverContext;
  readonly #clock: Clock;
  readonly #codec: ResultCodec;
  readonly #watchers = new Watchers();
  readonly #stopped = new AbortController();
  #opening: Promise<Opened> | undefined;
  #opened: Opened | undefined;
  #writes: (readonly Value[])[] = [];
  #batch: Deferred<void> = deferred();
  #flushing = false;
  #seenSeq = 0;
  #readQueued = false;
  #stopListening: (() => void) | undefined;

  constructor(url: string, options: BackendOptions, context: DriverContext) {
    const { file, query } = parseSqliteUrl(url);
    this.#file = file;
    this.#synchronous = query.get('synchronous') ?? String(options.transportOptions['synchronous'] ?? 'NORMAL');
    this.#lifetimeMs = options.expiresMs;
    this.#context = context;
    this.#clock = context.clock;
    this.#codec = options.codec ?? JSON_RESULTS;
    this.displayUrl = `sqlite:///${file}`;
    this.chords = new SqliteChords({
      open: async () => (await this.#open()).db,
      now: () => this.#clock.now(),
      codec: this.#codec,
      expires: () => this.#expires(),
      saveGroup: (groupId, group) => this.saveGroup(groupId, group),
    });
  }

  async store(record: ResultRecord): Promise<void> {
    const meta = this.#codec.encode(record);
    if (!this.#opened) await this.#open();
    this.#writes.push([record.taskId, record.status, meta, this.#expires(), record.taskId]);
    if (!this.#flushing) {
      this.#flushing = true;
      setImmediate(() => void this.#flush());
    }
    return this.#batch.promise;
  }

  async #flush(): Promise<void> {
    const writes = this.#writes;
    const batch = this.#batch;
    this.#writes = [];
    this.#batch = deferred();
    this.#flushing = false;
    try {
      const { db, sql } = await this.#open();
      for (let from = 0; from < writes.length; from += MOST_WRITTEN) {
        const part = writes.slice(from, from + MOST_WRITTEN);
        await db.write(() => {
          for (const values of part) sql.store.run(...values);
        });
      }
      batch.resolve();
      if (this.#watchers.size > 0) this.#read();
    } catch (error) {
      batch.promise.catch(() => {});
      batch.reject(error);
    }
  }

  async load(taskId: string): Promise<ResultRecord | undefined> {
    const { sql } = await this.#open();
    const row = sql.load.first(taskId, this.#clock.now());
    return row && this.#codec.decode(row[0] as Stored);
  }

  async loadMany(taskIds: readonly string[]): Promise<(ResultRecord | undefined)[]> {
    await this.#open();
    return Promise.all(taskIds.map((taskId) => this.load(taskId)));
  }

  watch(taskId: string, listener: ResultListener): ResultWatch {
    let open = true;
    const tell: ResultListener = (record) => {
      if (open) listener(record);
    };
    const begin = ({ db, sql }: Opened): void => {
      if (!open) return;
      if (!this.#stopListening) {
        this.#seenSeq = Number(sql.last.first()?.[0] ?? 0);
        this.#stopListening = db.onForeignWrite(() => this.#queueRead());
      }
      this.#watchers.add(taskId, tell);
      const row = sql.load.first(taskId, this.#clock.now());
      if (row) tell(this.#codec.decode(row[0] as Stored));
    };
    let ready: Promise<void> = Promise.resolve();
    if (this.#opened) begin(this.#opened);
    else ready = this.#open().then(begin);
    return {
      ready,
      close: () => {
        open = false;
        this.#watchers.remove(taskId, tell);
        if (this.#watchers.size > 0) return;
        this.#stopListening?.();
        this.#stopListening = undefined;
      },
    };
  }

  #queueRead(): void {
    if (this.#readQueued) return;
    this.#readQueued = true;
    setImmediate(() => {
      this.#readQueued = false;
      this.#read();
    });
  }

  /** Reads what was stored since the last time, by whomever, and tells who waits for it. */
  #read(): void {
    if (!this.#opened || !this.#stopListening) return;
    try {
      const rows = this.#opened.sql.since.all(this.#seenSeq, MOST_READ);
      for (const [seq, taskId, meta] of rows) {
        this.#seenSeq = Number(seq);
        if (this.#watchers.has(taskId as string)) this.#watchers.tell(this.#codec.decode(meta as Stored));
      }
      if (rows.length === MOST_READ) this.#queueRead();
    } catch (error) {
      this.#context.log.warn({ error }, 'stored results could not be read: trying again');
      this.#queueRead();
    }
  }

  async forget(taskId: string): Promise<void> {
    const { db, sql } = await this.#open();
    await db.write(() => sql.forget.run(taskId));
  }

  async saveGroup(groupId: string, group: ResultTuple): Promise<void> {
    const { db, sql } = await this.#open();
    await db.write(() => sql.saveGroup.run(groupId, this.#codec.encodeGroup(group), this.#expires()));
  }

  async loadGroup(groupId: string): Promise<ResultTuple | undefined> {
    const { sql } = await this.#open();
    const row = sql.loadGroup.first(groupId, this.#clock.now());
    return row && this.#codec.decodeGroup(row[0] as Stored);
  }

  async deleteGroup(groupId: string): Promise<void> {
    const { db, sql } = await this.#open();
    await db.write(() => sql.deleteGroup.run(groupId));
  }

  async cleanup(): Promise<number> {
    const { db, sql } = await this.#open();
    const nowMs = this.#clock.now();
    await this.chords.sweep(nowMs);
    return db.write(() => sql.sweep.run(nowMs) + sql.sweepGroups.run(nowMs));
  }

  /** Harmless twice. What was stored before is written first. */
  async close(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    if (this.#writes.length > 0) await this.#flush();
    this.#stopped.abort(new OperationalError('the result backend is closed', { recoverable: false }));
    this.#watchers.clear();
    this.#stopListening?.();
    const opened = await this.#opening?.catch(() => undefined);
    opened?.db.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #expires(): number | null {
    return this.#lifetimeMs === null ? null : Math.round(this.#clock.now() + this.#lifetimeMs);
  }

  async #open(): Promise<Opened> {
    this.#stopped.signal.throwIfAborted();
    this.#opening ??= this.#connect().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #connect(): Promise<Opened> {
    const db = await Database.open(this.#file, SCHEMA + CHORD_SCHEMA, this.#clock, this.#synchronous);
    const alive = '(expires IS NULL OR expires > ?)';
    const sql: Statements = {
      store: db.prepare(`INSERT OR REPLACE INTO result (task_id, status, meta, expires)
        SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM result WHERE task_id = ? AND status = 'SUCCESS')`),
      load: db.prepare(`SELECT meta FROM result WHERE task_id = ? AND ${alive}`),
      since: db.prepare('SELECT seq, task_id, meta FROM result WHERE seq > ? ORDER BY seq LIMIT ?'),
      last: db.prepare('SELECT max(seq) FROM result'),
      forget: db.prepare('DELETE FROM result WHERE task_id = ?'),
      saveGroup: db.prepare('INSERT OR REPLACE INTO result_group (group_id, tuple, expires) VALUES (?, ?, ?)'),
      loadGroup: db.prepare(`SELECT tuple FROM result_group WHERE group_id = ? AND ${alive}`),
      deleteGroup: db.prepare('DELETE FROM result_group WHERE group_id = ?'),
      sweep: db.prepare('DELETE FROM result WHERE expires <= ?'),
      sweepGroups: db.prepare('DELETE FROM result_group WHERE expires <= ?'),
    };
    this.#opened = { db, sql };
    this.#sweepForever().catch(() => {});
    return this.#opened;
  }

  /** Ends when the backend is closed. */
  async #sweepForever(): Promise<void> {
    for (;;) {
      await sleep(this.#clock, SWEEP_MS, this.#stopped.signal, { keepAlive: false });
      await this.cleanup().catch((error: unknown) =>
        this.#context.log.warn({ error }, 'expired results were not swept'),
      );
    }
  }
}

export function createBackend(url: string, options: BackendOptions, context: DriverContext): ResultBackend {
  return new SqliteBackend(url, options, context);
}
