import { open, readFile, rename } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Logger } from '../runtime/logger.ts';
import type { BeatState, RunState, ScheduleStore } from './schedule-store.ts';

const VERSION = 1;

/**
 * The state as a file of JSON, replaced whole: a crash leaves the old one or the new one.
 * Celery's own schedule file (a pickled database) is never read; one in its place is kept as `.unreadable`.
 */
export class FileStore implements ScheduleStore {
  readonly name: string;
  readonly #log: Logger;

  constructor(file: string, log: Logger) {
    this.name = resolve(file);
    this.#log = log;
  }

  async load(): Promise<BeatState | undefined> {
    let text: string;
    try {
      text = await readFile(this.name, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    try {
      return parse(text);
    } catch (error) {
      const aside = `${this.name}.unreadable`;
      await rename(this.name, aside);
      this.#log.error({ error, file: this.name, keptAs: aside }, 'the schedule file cannot be read: starting anew');
      return undefined;
    }
  }

  async save(state: BeatState): Promise<void> {
    const next = `${this.name}.new`;
    const file = await open(next, 'w', 0o644);
    try {
      await file.writeFile(JSON.stringify({ version: VERSION, ...state }));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, this.name);
    await syncFolder(dirname(this.name));
  }
}

/** The new name survives a power cut, too; not every platform can open a folder. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  try {
    await handle?.sync();
  } catch {
    // The file itself is safe.
  } finally {
    await handle?.close();
  }
}

function parse(text: string): BeatState {
  const value = JSON.parse(text) as (Partial<BeatState> & { version?: unknown }) | null;
  if (value?.version !== VERSION) throw new TypeError(`expected version ${VERSION}, got ${String(value?.version)}`);
  const { timezone, enableUtc, entries } = value;
  if (typeof timezone !== 'string' || typeof enableUtc !== 'boolean' || typeof entries !== 'object') {
    throw new TypeError('expected timezone, enableUtc and entries');
  }
  for (const [name, { lastRunMs, totalRunCount }] of Object.entries(entries as Record<string, RunState>)) {
    if (!Number.isFinite(lastRunMs) || !Number.isInteger(totalRunCount)) throw new TypeError(`entry "${name}"`);
  }
  return { timezone, enableUtc, entries: entries ?? {} };
}
