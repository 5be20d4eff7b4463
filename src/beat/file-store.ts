import { open, readFile, rename } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Logger } from '../runtime/logger.ts';
import type { PeriodicTask } from '../app/periodic.ts';
import type { LoadContext, RunState, ScheduleStore, StoredEntry } from './schedule-store.ts';

const VERSION = 1;

/** What is in the file. */
interface BeatState {
  /** Settings the moments were computed with; when they change, the state begins anew, as in Celery. */
  readonly timezone: string;
  readonly enableUtc: boolean;
  readonly entries: Readonly<Record<string, RunState>>;
}

/**
 * The state as a file of JSON, replaced whole: a crash leaves the old one or the new one.
 * Celery's own schedule file (a pickled database) is never read; one in its place is kept as `.unreadable`.
 */
export class FileStore implements ScheduleStore {
  readonly name: string;
  readonly #log: Logger;
  #context: LoadContext = { timezone: 'UTC', enableUtc: true };
  readonly #states = new Map<string, RunState>();

  constructor(file: string, log: Logger) {
    this.name = resolve(file);
    this.#log = log;
  }

  async load(configured: readonly PeriodicTask[], context: LoadContext): Promise<StoredEntry[]> {
    const stored = await this.#read();
    const valid = stored?.timezone === context.timezone && stored.enableUtc === context.enableUtc;
    if (stored !== undefined && !valid)
      this.#log.warn({ store: this.name }, 'the time zone changed: last runs forgotten');
    const known = new Map(Object.entries(valid ? stored.entries : {}));
    this.#context = context;
    this.#states.clear();
    return configured.map((task) => {
      const state = known.get(task.name);
      if (state !== undefined) this.#states.set(task.name, state);
      return { task, state };
    });
  }

  async save(states: ReadonlyMap<string, RunState>): Promise<void> {
    const { timezone, enableUtc } = this.#context;
    const entries = Object.fromEntries([...this.#states, ...states]);
    await this.#write({ timezone, enableUtc, entries });
    for (const [name, state] of states) this.#states.set(name, state);
  }

  async #read(): Promise<BeatState | undefined> {
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

  async #write(state: BeatState): Promise<void> {
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
