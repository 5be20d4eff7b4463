import { mkdirSync, watch, type FSWatcher } from 'node:fs';
import { dirname } from 'node:path';
import { OperationalError } from '../errors.ts';
import type { Clock, Timer } from '../runtime/clock.ts';

/** Row values in the order of the columns. */
export type Row = readonly (string | number | null | Uint8Array)[];
export type Value = string | number | null | Uint8Array;

/** The part of the driver that is called here. */
interface Driver {
  exec(sql: string): unknown;
  prepare(sql: string): DriverStatement;
  close(): unknown;
}

interface DriverStatement {
  run(...values: Value[]): { readonly changes: number };
  all(...values: Value[]): unknown[];
  raw(on: boolean): DriverStatement;
}

/** A statement prepared once; short and synchronous. */
export class Statement {
  readonly #run: DriverStatement;
  readonly #read: DriverStatement;

  constructor(driver: Driver, sql: string, reads: boolean) {
    this.#run = driver.prepare(sql);
    this.#read = reads ? this.#run.raw(true) : this.#run;
  }

  /** @returns how many rows changed */
  run(...values: Value[]): number {
    return this.#run.run(...values).changes;
  }

  all(...values: Value[]): Row[] {
    return this.#read.all(...values) as Row[];
  }

  first(...values: Value[]): Row | undefined {
    return this.all(...values)[0];
  }
}

/** How long SQLite itself may wait for another process's transaction; the event loop stands still meanwhile. */
const BUSY_MS = 250;
/** Further tries after that, each a tick apart. */
const BUSY_RETRY_MS = 15_000;
const BUSY_WAIT_MS = 5;
/**
 * Other processes' writes are noticed through the write-ahead log. Watching it is quick but misses some, so the file is
 * asked too: often after anything was written, seldom when nothing happens.
 */
const BUSY_POLL_MS = 4;
const IDLE_POLL_MS = 100;
const POLLS_UNTIL_IDLE = 100;

/**
 * One open file. WAL, so that readers never wait; transactions are short and synchronous.
 * `synchronous=NORMAL` loses nothing when a process dies; when the machine dies the last transactions may be gone
 * (`?synchronous=FULL` keeps those too, at a sync for each).
 */
export class Database {
  readonly file: string;
  readonly #driver: Driver;
  readonly #clock: Clock;
  readonly #begin: DriverStatement;
  readonly #commit: DriverStatement;
  readonly #rollback: DriverStatement;
  readonly #version: Statement;
  readonly #listeners = new Set<() => void>();
  #seenVersion = 0;
  #quietPolls = 0;
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #open = true;

  private constructor(file: string, driver: Driver, clock: Clock) {
    this.file = file;
    this.#driver = driver;
    this.#clock = clock;
    this.#begin = driver.prepare('BEGIN IMMEDIATE');
    this.#commit = driver.prepare('COMMIT');
    this.#rollback = driver.prepare('ROLLBACK');
    this.#version = new Statement(driver, 'PRAGMA data_version', true);
  }

  /** Creates folder, file and tables where they are missing. @throws {OperationalError} when that cannot be done */
  static async open(file: string, schema: string, clock: Clock, synchronous: string = 'NORMAL'): Promise<Database> {
    const { default: Libsql } = await import('libsql');
    const mode = /^(OFF|NORMAL|FULL|EXTRA)$/i.test(synchronous) ? synchronous : 'NORMAL';
    const deadlineMs = clock.monotonic() + BUSY_RETRY_MS;
    for (;;) {
      try {
        mkdirSync(dirname(file), { recursive: true });
        const driver = new Libsql(file, { timeout: BUSY_MS } as object) as unknown as Driver;
        driver.exec('PRAGMA journal_mode = WAL');
        driver.exec(`PRAGMA synchronous = ${mode}`);
        driver.exec(`BEGIN IMMEDIATE; ${schema} COMMIT;`);
        return new Database(file, driver, clock);
      } catch (cause) {
        if (!isBusy(cause) || clock.monotonic() > deadlineMs) throw unusable(file, cause);
        await pause(clock);
      }
    }
  }

  prepare(sql: string): Statement {
    return new Statement(this.#driver, sql, /^\s*SELECT|RETURNING/i.test(sql));
  }

  /**
   * Runs `work` in one transaction; all of it happens or nothing. Waits for other processes' transactions.
   * @throws {OperationalError} when the file stays locked for too long or the database is closed
   */
  async write<T>(work: () => T): Promise<T> {
    const deadlineMs = this.#clock.monotonic() + BUSY_RETRY_MS;
    for (;;) {
      if (!this.#open) throw new OperationalError(`the database ${this.file} is closed`, { recoverable: true });
      try {
        const value = this.#transaction(work);
        this.#stir();
        return value;
      } catch (cause) {
        if (!isSqlite(cause)) throw cause;
        if (!isBusy(cause) || this.#clock.monotonic() > deadlineMs) throw unusable(this.file, cause);
      }
      await pause(this.#clock);
    }
  }

  #transaction<T>(work: () => T): T {
    this.#begin.run();
    try {
      const value = work();
      this.#commit.run();
      return value;
    } catch (error) {
      try {
        this.#rollback.run();
      } catch {
        // SQLite has rolled back by itself already.
      }
      throw error;
    }
  }

  /** Calls `listener` soon after another connection has written. @returns a function that stops it */
  onForeignWrite(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#startWatching();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stopWatching();
    };
  }

  #startWatching(): void {
    this.#seenVersion = this.#dataVersion();
    try {
      this.#watcher = watch(`${this.file}-wal`, { persistent: false }, this.#look);
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      // Polling is enough where files cannot be watched.
    }
    this.#poll();
  }

  #stopWatching(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#timer?.cancel();
  }

  #poll(): void {
    // Keeps the process alive: somebody waits for what others write.
    const waitMs = this.#quietPolls++ < POLLS_UNTIL_IDLE ? BUSY_POLL_MS : IDLE_POLL_MS;
    this.#timer = this.#clock.setTimer(waitMs, () => {
      this.#look();
      if (this.#open && this.#listeners.size > 0) this.#poll();
    });
  }

  readonly #look = (): void => {
    if (!this.#open || this.#listeners.size === 0) return;
    const version = this.#dataVersion();
    if (version === this.#seenVersion) return;
    this.#seenVersion = version;
    this.#stir();
    for (const listener of [...this.#listeners]) listener();
  };

  /** Something was written, here or elsewhere: an answer may follow soon. */
  #stir(): void {
    const idle = this.#quietPolls > POLLS_UNTIL_IDLE;
    this.#quietPolls = 0;
    if (!idle || this.#listeners.size === 0) return;
    this.#timer?.cancel();
    this.#poll();
  }

  /** Changes when another connection has committed. */
  #dataVersion(): number {
    return Number(this.#version.first()?.[0] ?? 0);
  }

  /** Harmless twice. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#stopWatching();
    this.#listeners.clear();
    this.#driver.close();
  }
}

function isSqlite(error: unknown): error is Error & { code: string } {
  return error instanceof Error && String((error as { code?: unknown }).code ?? '').startsWith('SQLITE');
}

function isBusy(error: unknown): boolean {
  return isSqlite(error) && /BUSY|LOCKED/.test(error.code);
}

function unusable(file: string, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new OperationalError(`the database ${file} cannot be used: ${why}`, { cause, recoverable: true });
}

function pause(clock: Clock): Promise<void> {
  return new Promise((resolve) => void clock.setTimer(BUSY_WAIT_MS, resolve));
}
