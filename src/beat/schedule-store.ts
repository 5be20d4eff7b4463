/*
 * run state   what beat remembers of an entry between two runs, and over a restart
 */

export interface RunState {
  /** Unix time, milliseconds; of an entry that never ran, when it was first seen. */
  readonly lastRunMs: number;
  readonly totalRunCount: number;
  /** Id of a run that was decided and is not yet known to have been sent. */
  readonly pending?: string | undefined;
}

export interface BeatState {
  /** Settings the moments were computed with; when they change, the state begins anew, as in Celery. */
  readonly timezone: string;
  readonly enableUtc: boolean;
  readonly entries: Readonly<Record<string, RunState>>;
}

/** Where beat keeps its state. */
export interface ScheduleStore {
  /** For people: the file's name. */
  readonly name: string;
  /** Undefined when nothing is stored, or what is stored cannot be read (the store says so and keeps it aside). */
  load(): Promise<BeatState | undefined>;
  /** Resolves when a crash cannot undo it. Whole or not at all. */
  save(state: BeatState): Promise<void>;
}
