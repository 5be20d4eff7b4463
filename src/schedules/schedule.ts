/*
 * schedule   when something is due, as a pure function of its last run
 */

/** What the moment depends on besides the last run. */
export interface ScheduleContext {
  /** Unix time, milliseconds. */
  readonly nowMs: number;
  /** IANA name of the app's zone; a schedule may have its own. */
  readonly timezone: string;
}

/** Decides when a periodic task runs. Pure: no clock of its own, so it can be asked about any moment. */
export interface Schedule {
  /**
   * The first run after the one at `lastRunMs`; at or before `nowMs` it is due. Always later than `lastRunMs`
   * by the schedule's own measure.
   * @returns Unix time, milliseconds
   */
  next(lastRunMs: number, context: ScheduleContext): number;
  /**
   * For a schedule that depends on more than the clock; asked when `next` is reached.
   * @returns `due: false` with the moment of the next look, Unix time in milliseconds
   */
  isDue?(lastRunMs: number, context: ScheduleContext): { readonly due: boolean; readonly lookAgainMs: number };
  /** As Celery prints it: `<freq: 30.00 seconds>`, `<crontab: * * * * * (m/h/dM/MY/d)>`. */
  toString(): string;
}
