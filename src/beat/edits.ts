import type { PeriodicTask } from '../app/periodic.ts';
import type { Logger } from '../runtime/logger.ts';
import { taskFrom, type EntryData } from './entry-data.ts';
import type { RunState, ScheduleEditor, StoredEntry } from './schedule-store.ts';

/*
 * edit    what was changed of one entry at run time, kept beside the configured entries
 * book    where the edits of a schedule are kept
 */

export interface Edit {
  /** Fields that replace the configured ones; complete where nothing is configured. */
  readonly set?: Partial<EntryData>;
  readonly removed?: boolean;
  readonly paused?: boolean;
  /** When it was resumed: runs that it missed before are not made up. Unix time, milliseconds. */
  readonly resumedMs?: number;
  /** Id of the last run that somebody asked for. */
  readonly asked?: string;
}

export interface EditBook {
  /** Replaces one edit by what `update` makes of it, undefined removes it; atomic beside other processes. */
  change(name: string, update: (edit: Edit | undefined) => Edit | undefined): Promise<void>;
}

/** The schedule in force: configured entries as edited, then those that were added. What cannot be read is left out. */
export function mergeEdits(
  configured: readonly PeriodicTask[],
  edits: ReadonlyMap<string, Edit>,
  states: ReadonlyMap<string, RunState>,
  log: Logger,
): StoredEntry[] {
  const base = new Map(configured.map((task) => [task.name, task]));
  const names = new Set([...base.keys(), ...edits.keys()]);
  return [...names].flatMap((name) => {
    const edit = edits.get(name);
    const state = states.get(name);
    if (edit === undefined) return [{ task: base.get(name) as PeriodicTask, state }];
    try {
      const task = edited(name, edit, base.get(name));
      if (task === undefined) return [];
      return [{ task, state: resumed(state, edit), ...(edit.asked !== undefined && { asked: edit.asked }) }];
    } catch (error) {
      log.error({ error, entry: name }, 'an entry that was edited at run time cannot be read: left out');
      return [];
    }
  });
}

function edited(
  name: string,
  { set, removed, paused }: Edit,
  base: PeriodicTask | undefined,
): PeriodicTask | undefined {
  if (removed) return undefined;
  // Its definition has left the configuration, and only some fields of it were changed.
  if (base === undefined && (set?.task === undefined || set.schedule === undefined)) return undefined;
  const task = set === undefined ? base : taskFrom(name, set, base);
  return paused === undefined || task === undefined ? task : { ...task, paused };
}

function resumed(state: RunState | undefined, { resumedMs }: Edit): RunState | undefined {
  if (state === undefined || resumedMs === undefined || resumedMs <= state.lastRunMs) return state;
  return { ...state, lastRunMs: resumedMs };
}

/** Edits as every store of ours keeps them. @param now Unix time, milliseconds */
export function editorOf(book: EditBook, now: () => number): ScheduleEditor {
  return {
    async set(name, data) {
      await book.change(name, (edit) => {
        // Set again after it was removed, an entry begins anew.
        if (edit?.removed) return { set: data };
        return { ...edit, set: { ...edit?.set, ...data } };
      });
    },
    remove: (name) => book.change(name, () => ({ removed: true })),
    setPaused: (name, paused) =>
      book.change(name, (edit) => ({ ...edit, paused, ...(!paused && { resumedMs: now() }) })),
    runNow: (name, id) => book.change(name, (edit) => ({ ...edit, asked: id })),
    reset: (name) => book.change(name, () => undefined),
  };
}
