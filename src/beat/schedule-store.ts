import type { PeriodicTask } from '../app/periodic.ts';
import type { Celery } from '../app/celery.ts';
import type { EntryData } from './entry-data.ts';

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
  /** Id of the last run; overlap policies ask for its result. A store without room for it may drop it. */
  readonly lastId?: string | undefined;
  /** The last `StoredEntry.asked` that was heeded. */
  readonly asked?: string | undefined;
}

/** One entry of the schedule in force. */
export interface StoredEntry {
  /** Its policy (`PeriodicPolicy`) is heeded by beat; a store may fill it from columns of its own. */
  readonly task: PeriodicTask;
  /** Undefined for one that is new: beat writes down that it was first seen now. */
  readonly state?: RunState | undefined;
  /** Id of a run that somebody wants now; sent once, under that id. Stays until the next wish. */
  readonly asked?: string | undefined;
}

/** Settings that moments are computed with. */
export interface LoadContext {
  readonly timezone: string;
  readonly enableUtc: boolean;
  /** Only to show or to edit: nothing is to be written down, and what is switched off is wanted too, as `paused`. */
  readonly looking?: boolean | undefined;
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
   * Task id of an entry's next run, the same until that run is saved as sent. A store that gives ids need not write
   * down runs that are not sent yet: beat decides the same run again. @default a random id for each run
   */
  runId?(name: string): string | undefined;
  /**
   * Writes down the states of some entries, all of them or none. Resolves when a crash cannot undo it. Called before a run
   * is sent (`pending` is its id) and after. An entry that is gone meanwhile is left out.
   */
  save(states: ReadonlyMap<string, RunState>): Promise<void>;
  /** Left out: this beat is the only one. With it, beat loads, saves and sends only while it leads. */
  readonly election?: Election | undefined;
  /** How the schedule is changed at run time (`ScheduleControl`, `celeriac schedule`); left out where it cannot be. */
  readonly editor?: ScheduleEditor | undefined;
  /** Harmless twice. */
  close?(): Promise<void>;
}

/** How beats that share a schedule agree on the one that sends. `save` throws `LeaseLostError` when another leads. */
export interface Election {
  /** For no longer than this nobody leads when the leader dies, milliseconds. */
  readonly leaseMs: number;
  /** What a lease is granted for; the rest is for a standby to notice. */
  readonly grantedMs: number;
  /** Takes the lease if it is free, renews it if it is held. @returns whether this beat has it */
  campaign(): Promise<boolean>;
  /** Gives the lease up, so that another need not wait for its end. Harmless when it is not held. */
  resign(): Promise<void>;
}

/** Changes that a running beat notices within `pollMs`. Each is whole or not at all, also beside other editors. */
export interface ScheduleEditor {
  /**
   * Adds an entry, or replaces fields of one.
   * @param data of an entry that is there: only what differs
   */
  set(name: string, data: Partial<EntryData>): Promise<void>;
  /** Also hides a configured entry. */
  remove(name: string): Promise<void>;
  setPaused(name: string, paused: boolean): Promise<void>;
  /** @param id of the run */
  runNow(name: string, id: string): Promise<void>;
  /** Takes back every change of an entry: the configured one is in force again, one that was added is gone. */
  reset(name: string): Promise<void>;
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
