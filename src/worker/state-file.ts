import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Lamport } from '../app/lamport.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { readOrAside } from '../runtime/read-or-aside.ts';
import { replaceFile } from '../runtime/replace-file.ts';
import type { RevokedIds } from './revoked.ts';

const VERSION = 1;
/** How soon a change is written; longer where writing takes long. */
const SAVE_MS = 1_000;
/** At most this share of the time is spent on writing. */
const BUSY_SHARE = 0.05;

interface Stored {
  readonly version: typeof VERSION;
  /** Lamport clock. */
  readonly clock: number;
  /** Ids and the Unix time in milliseconds at which each was revoked, oldest first. */
  readonly revoked: readonly (readonly [id: string, atMs: number])[];
}

/** What a state file keeps. */
export interface Kept {
  readonly revoked: RevokedIds;
  readonly lamport: Lamport;
}

/**
 * Remembers what was revoked, and the logical clock, across restarts of a worker: written soon after each change, so that
 * a worker that is killed remembers, too. Celery's own state file is a pickle: it is never read, and kept aside.
 *
 * Source: celery.worker.state.Persistent.
 */
export class StateFile {
  readonly name: string;
  readonly #kept: Kept;
  readonly #clock: Clock;
  readonly #log: Logger;
  #written = -1;
  #writing: Promise<void> | undefined;
  #timer: Timer | undefined;
  #open = true;
  #failing = false;

  constructor(file: string, kept: Kept, clock: Clock, log: Logger) {
    this.name = resolve(file);
    this.#kept = kept;
    this.#clock = clock;
    this.#log = log;
  }

  /** Takes over what the file says, and keeps it up to date from now on. @throws when the file may not be read */
  async open(): Promise<void> {
    const stored = await this.#read();
    if (stored) {
      const { revoked, lamport } = this.#kept;
      const nowMs = this.#clock.now();
      for (const [id, atMs] of stored.revoked) revoked.add(id, Math.max(0, nowMs - atMs));
      lamport.adjust(stored.clock);
      this.#log.info({ file: this.name, revoked: stored.revoked.length }, 'state of the last run read');
      this.#written = revoked.changes;
    } else {
      await mkdir(dirname(this.name), { recursive: true });
      await this.#write();
    }
    this.#next(SAVE_MS);
  }

  /** Writes what is new. Harmless twice. Never rejects. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#timer?.cancel();
    await this.#writing;
    await this.#save();
  }

  #next(inMs: number): void {
    if (!this.#open) return;
    this.#timer = this.#clock.setTimer(
      inMs,
      () => {
        if (this.#kept.revoked.changes === this.#written) return this.#next(SAVE_MS);
        const startedMs = this.#clock.monotonic();
        this.#writing = this.#save().then(() =>
          this.#next(Math.max(SAVE_MS, (this.#clock.monotonic() - startedMs) / BUSY_SHARE)),
        );
      },
      { keepAlive: false },
    );
  }

  async #save(): Promise<void> {
    try {
      await this.#write();
      this.#failing = false;
    } catch (error) {
      if (this.#failing) return;
      this.#failing = true;
      this.#log.error(
        { error, file: this.name },
        'the state file cannot be written: a restart forgets what is revoked now',
      );
    }
  }

  async #write(): Promise<void> {
    const { revoked, lamport } = this.#kept;
    const { changes } = revoked;
    const nowMs = this.#clock.now();
    const ids = Array.from(revoked.ages(), ([id, ageMs]) => [id, Math.round(nowMs - ageMs)] as const);
    const stored: Stored = { version: VERSION, clock: lamport.value, revoked: ids };
    await replaceFile(this.name, JSON.stringify(stored), 0o600);
    this.#written = changes;
  }

  #read(): Promise<Stored | undefined> {
    return readOrAside(this.name, parse, (error, keptAs) =>
      this.#log.warn(
        { error, file: this.name, keptAs },
        'the state file cannot be read: the worker starts without what was revoked before',
      ),
    );
  }
}

/** @throws when it is not what a worker of ours wrote */
function parse(text: string): Stored {
  const value = JSON.parse(text) as Partial<Stored> | null;
  if (value?.version !== VERSION) throw new TypeError(`expected version ${VERSION}, got ${String(value?.version)}`);
  const { clock, revoked } = value;
  if (!Number.isSafeInteger(clock) || (clock as number) < 0) throw new TypeError('clock: expected a whole number');
  if (!Array.isArray(revoked)) throw new TypeError('revoked: expected a list');
  for (const one of revoked as readonly unknown[]) {
    const [id, atMs] = Array.isArray(one) ? (one as unknown[]) : [];
    if (typeof id !== 'string' || !Number.isFinite(atMs)) throw new TypeError('revoked: expected pairs of id and time');
  }
  return value as Stored;
}
