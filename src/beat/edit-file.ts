import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { OperationalError } from '../errors.ts';
import { sleep, type Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { replaceFile } from '../runtime/replace-file.ts';
import type { Edit, EditBook } from './edits.ts';

/** A lock older than this was left behind by a process that died: nobody holds it for longer than one small write. */
const STALE_LOCK_MS = 10_000;
const LOCK_DEADLINE_MS = 20_000;
const LOCK_POLL_MS = 20;

/** Edits as a file of JSON beside the schedule file: only editors write it, beat only reads. */
export class EditFile implements EditBook {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #log: Logger;

  constructor(file: string, clock: Clock, log: Logger) {
    this.#file = file;
    this.#clock = clock;
    this.#log = log;
  }

  /** Differs once the file was replaced; undefined while there is none. */
  async version(): Promise<string | undefined> {
    try {
      const { mtimeNs, size, ino } = await stat(this.#file, { bigint: true });
      return `${mtimeNs}:${size}:${ino}`;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async read(): Promise<Map<string, Edit>> {
    let text: string;
    try {
      text = await readFile(this.#file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
      throw error;
    }
    try {
      const edits = (JSON.parse(text) as { readonly edits?: unknown } | null)?.edits;
      if (typeof edits !== 'object' || edits === null) throw new TypeError('expected { "edits": { … } }');
      return new Map(Object.entries(edits as Record<string, Edit>));
    } catch (error) {
      const aside = `${this.#file}.unreadable`;
      await rename(this.#file, aside);
      this.#log.error({ error, file: this.#file, keptAs: aside }, 'edits of the schedule cannot be read: left out');
      return new Map();
    }
  }

  async change(name: string, update: (edit: Edit | undefined) => Edit | undefined): Promise<void> {
    const lock = `${this.#file}.lock`;
    await this.#lock(lock);
    try {
      const edits = await this.read();
      const edit = update(edits.get(name));
      if (edit === undefined) edits.delete(name);
      else edits.set(name, edit);
      await replaceFile(this.#file, JSON.stringify({ edits: Object.fromEntries(edits) }, null, 1), 0o644);
    } finally {
      await rm(lock, { force: true });
    }
  }

  async #lock(lock: string): Promise<void> {
    const deadlineMs = this.#clock.monotonic() + LOCK_DEADLINE_MS;
    for (;;) {
      try {
        await (await open(lock, 'wx')).close();
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const found = await stat(lock).catch(() => undefined);
      if (found !== undefined && this.#clock.now() - found.mtimeMs > STALE_LOCK_MS) await rm(lock, { force: true });
      else if (this.#clock.monotonic() > deadlineMs) {
        throw new OperationalError(`the schedule is being edited: ${lock} has not gone away`, { recoverable: true });
      } else await sleep(this.#clock, LOCK_POLL_MS);
    }
  }
}
