import type { PeriodicTask } from '../app/periodic.ts';
import type { Celery } from '../app/celery.ts';

/*
 * store       where the schedule of a beat lives: what is in it, and when each entry ran last
 * configured  entries of the setting `beatSchedule` and of `app.addPeriodicTask`
 * run state   what beat remembers of an entry between two runs, and over a restart
 * version     a marker that differs once somebody else has changed the schedule
 * scheduler   Celery's word for a kind of store; the setting `beatScheduler` names one
 *
 * How beat uses a store:
 *
 *   open by the setting (`scheduler.ts`) → load → [ version? → load again when it differs ]
 *        → due: save (decided, with the id of the run) → send → save (sent) → …  → close
 *
 * The store decides what an edit from outside means: beat takes what `load` returns as the whole truth, run states
 * included, and calls it again when `version` differs from what it was before the last load, or when a save failed.
 */

export interface RunState {
  /** Unix time, milliseconds; of an entry that never ran, when it was first seen. */
  readonly lastRunMs: number;
  readonly totalRunCount: number;
  /** Id of a run that was decided and is not yet known to have been sent. */
  readonly pending?: string | undefined;
}

/** One entry of the schedule in force. */
export interface StoredEntry {
  /** `paused`, `startMs`, `endMs` and `maxRuns` are heeded by beat; a store may use them for what its own columns say. */
  readonly task: PeriodicTask;
  /** Undefined for one that is new: beat writes down that it was first seen now. */
  readonly state?: RunState | undefined;
}

/** Settings that moments are computed with. */
export interface LoadContext {
  readonly timezone: string;
  readonly enableUtc: boolean;
}

/** Where beat finds its schedule and keeps what it remembers. One beat calls one method at a time. */
export interface ScheduleStore {
  /** For people: the file's name, the address without its password. */
  readonly name: string;
  /**
   * How long a change from outside may stay unnoticed, in milliseconds: beat never sleeps for longer, and asks for the
   * version no more often. @default 5000 with `version`, else unlimited
   */
  readonly pollMs?: number | undefined;
  /**
   * The schedule in force: the configured entries, merged with what the store adds, changes, hides and remembers.
   * An entry that the store cannot read is left out and logged, so that the others run.
   */
  load(configured: readonly PeriodicTask[], context: LoadContext): Promise<readonly StoredEntry[]>;
  /** Compared with `===`. One cheap question; left out where nobody else can change the schedule. */
  version?(): Promise<unknown>;
  /**
   * Writes down the states of some entries, all of them or none. Resolves when a crash cannot undo it. Called before a run
   * is sent (`pending` is its id) and after. An entry that is gone meanwhile is left out.
   */
  save(states: ReadonlyMap<string, RunState>): Promise<void>;
  /** Harmless twice. */
  close?(): Promise<void>;
}

/** What a scheduler is made with. */
export interface SchedulerContext {
  readonly app: Celery;
  /** File that `celeriac beat -s` names, else the one of the setting `beatScheduleFilename`; absolute. */
  readonly file: string;
}

/** A scheduler as a function; may be async. */
export type OpenScheduler = (context: SchedulerContext) => ScheduleStore | Promise<ScheduleStore>;

/** A scheduler as a class, as in Celery. */
export interface SchedulerClass {
  new (context: SchedulerContext): ScheduleStore;
  readonly prototype: ScheduleStore;
}
