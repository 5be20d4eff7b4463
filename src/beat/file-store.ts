import { resolve } from 'node:path';
import type { PeriodicTask } from '../app/periodic.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { EditFile } from './edit-file.ts';
import { editorOf, mergeEdits } from './edits.ts';
import { readOrAside } from '../runtime/read-or-aside.ts';
import { replaceFile } from '../runtime/replace-file.ts';
import type { LoadContext, RunState, ScheduleEditor, ScheduleStore, StoredEntry } from './schedule-store.ts';

const VERSION = 1;
const POLL_MS = 1000;

/** What is in the file. */
interface BeatState {
  /** Settings the moments were computed with; when they change, the state begins anew, as in Celery. */
  readonly timezone: string;
  readonly enableUtc: boolean;
  readonly entries: Readonly<Record<string, RunState>>;
}

/**
 * The state as a file of JSON, replaced whole; what is changed at run time is in a second one, `<file>.edits`. For one beat.
 * Celery's own schedule file (a pickled database) is never read; one in its place is kept as `.unreadable`.
 */
export class FileStore implements ScheduleStore {
  readonly name: string;
  readonly pollMs: number = POLL_MS;
  readonly editor: ScheduleEditor;
  readonly #log: Logger;
  readonly #edits: EditFile;
  #context: LoadContext = { timezone: 'UTC', enableUtc: true };
  readonly #states = new Map<string, RunState>();

  constructor(file: string, log: Logger, clock: Clock = systemClock) {
    this.name = resolve(file);
    this.#log = log;
    this.#edits = new EditFile(`${this.name}.edits`, clock, log);
    this.editor = editorOf(this.#edits, () => clock.now());
  }

  version(): Promise<string | undefined> {
    return this.#edits.version();
  }

  async load(configured: readonly PeriodicTask[], context: LoadContext): Promise<StoredEntry[]> {
    const stored = await this.#read();
    const valid = stored?.timezone === context.timezone && stored.enableUtc === context.enableUtc;
    if (stored !== undefined && !valid)
      this.#log.warn({ store: this.name }, 'the time zone changed: last runs forgotten');
    const known = new Map(Object.entries(valid ? stored.entries : {}));
    const entries = mergeEdits(configured, await this.#edits.read(), known, this.#log);
    this.#context = context;
    this.#states.clear();
    for (const { task, state } of entries) if (state !== undefined) this.#states.set(task.name, state);
    return entries;
  }

  async save(states: ReadonlyMap<string, RunState>): Promise<void> {
    const { timezone, enableUtc } = this.#context;
    const entries = Object.fromEntries([...this.#states, ...states]);
    const state: BeatState = { timezone, enableUtc, entries };
    await replaceFile(this.name, JSON.stringify({ version: VERSION, ...state }), 0o644);
    for (const [name, one] of states) this.#states.set(name, one);
  }

  #read(): Promise<BeatState | undefined> {
    return readOrAside(this.name, parse, (error, keptAs) =>
      this.#log.error({ error, file: this.name, keptAs }, 'the schedule file cannot be read: starting anew'),
    );
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
