import { createHash } from 'node:crypto';
import type { PeriodicTask } from '../app/periodic.ts';
import { Crontab } from '../schedules/crontab.ts';
import { Interval } from '../schedules/interval.ts';
import type { RunState, StoredEntry } from './schedule-store.ts';

/*
 * planned   the moment the schedule gives
 * next      the moment a run is sent: planned, and the entry's jitter
 */

/** What an entry is asked about. */
export interface Moment {
  readonly nowMs: number;
  readonly timezone: string;
  /** `beatCronStartingDeadline`, milliseconds. */
  readonly cronDeadlineMs?: number | undefined;
}

const OVERLAP_LIMIT_MS = 3_600_000;

/** One entry of a running schedule. Changes only what is its own; sends and stores nothing. */
export class Entry {
  readonly task: PeriodicTask;
  /** Unix time, milliseconds; `Infinity`: never again. */
  nextMs: number = Infinity;
  lastRunMs: number;
  totalRunCount: number;
  pending: string | undefined;
  lastId: string | undefined;
  #plannedMs = Infinity;
  #asked: string | undefined;
  readonly #wish: string | undefined;

  constructor({ task, state, asked }: StoredEntry, moment: Moment) {
    this.task = task;
    this.lastRunMs = state?.lastRunMs ?? moment.nowMs;
    this.totalRunCount = state?.totalRunCount ?? 0;
    this.pending = state?.pending;
    this.lastId = state?.lastId;
    this.#asked = state?.asked;
    this.#wish = asked;
    this.plan(moment);
  }

  get name(): string {
    return this.task.name;
  }

  /** Somebody wants a run now, whatever the schedule says. */
  get isAsked(): boolean {
    return this.#wish !== undefined && this.#wish !== this.#asked;
  }

  get state(): RunState {
    const { lastRunMs, totalRunCount, pending, lastId } = this;
    const asked = this.#asked;
    return {
      lastRunMs,
      totalRunCount,
      ...(pending !== undefined && { pending }),
      ...(lastId !== undefined && { lastId }),
      ...(asked !== undefined && { asked }),
    };
  }

  /** Sets `nextMs` by the last run. */
  plan(moment: Moment): void {
    this.#plannedMs = this.#planned(moment);
    this.nextMs = this.isAsked ? moment.nowMs : this.#plannedMs + this.#jitterMs(this.#plannedMs);
  }

  #planned(moment: Moment): number {
    const { schedule, paused = false, startMs = -Infinity, endMs = Infinity, maxRuns = Infinity } = this.task;
    if (paused || this.totalRunCount >= maxRuns) return Infinity;
    // What ran last before its start has not begun: an interval does so at its start.
    const begins = this.lastRunMs < startMs;
    const next = !begins
      ? schedule.next(this.lastRunMs, moment)
      : schedule instanceof Interval
        ? startMs
        : schedule.next(startMs - 1, moment);
    return next > endMs ? Infinity : next;
  }

  /** The same for each beat and each look: no state is needed to keep to it. */
  #jitterMs(plannedMs: number): number {
    const { jitterMs = 0, name } = this.task;
    if (jitterMs <= 0 || !Number.isFinite(plannedMs)) return 0;
    const digest = createHash('sha1').update(`${name}\0${plannedMs}`).digest();
    return (digest.readUInt32BE(0) / 2 ** 32) * jitterMs;
  }

  /** For a schedule with a mind of its own: looks again later where it says so. */
  isDue(moment: Moment): boolean {
    if (this.nextMs > moment.nowMs) return false;
    const { schedule } = this.task;
    if (this.isAsked || schedule.isDue === undefined) return true;
    const { due, lookAgainMs } = schedule.isDue(this.lastRunMs, moment);
    if (!due) this.nextMs = Math.max(lookAgainMs, moment.nowMs + 1);
    return due;
  }

  /** Whether the missed moment is too long ago. */
  isPastDeadline(moment: Moment): boolean {
    const { schedule, catchUpMs } = this.task;
    const deadlineMs = catchUpMs ?? (schedule instanceof Crontab ? moment.cronDeadlineMs : undefined);
    if (deadlineMs === undefined || this.isAsked) return false;
    const oldestMs = moment.nowMs - deadlineMs;
    if (this.nextMs >= oldestMs) return false;
    if (schedule instanceof Interval) return (moment.nowMs - this.#plannedMs) % schedule.everyMs > deadlineMs;
    return schedule.next(oldestMs, moment) > moment.nowMs;
  }

  /** The last run while its result may still come. */
  overlapping(nowMs: number): string | undefined {
    const { overlap = 'allow', overlapLimitMs = OVERLAP_LIMIT_MS } = this.task;
    if (overlap === 'allow' || this.isAsked || nowMs - this.lastRunMs > overlapLimitMs) return undefined;
    return this.lastId;
  }

  /** This moment is over, without a run. */
  leaveOut(moment: Moment): void {
    this.lastRunMs = this.#settled(moment);
    this.plan(moment);
  }

  /** A run is decided. @param id the run's, unless somebody asked for one: that has its id already */
  begin(id: string, moment: Moment): void {
    if (this.isAsked) {
      this.pending = this.#asked = this.#wish;
    } else {
      this.lastRunMs = this.#settled(moment);
      this.pending = id;
    }
    this.lastId = this.pending;
    this.totalRunCount++;
    this.plan(moment);
  }

  /**
   * What counts as the last run: the planned moment where the schedule keeps pace, so that looking a little late, and
   * jitter, do not move it; else now, so that missed runs are not made up.
   */
  #settled(moment: Moment): number {
    const { schedule, jitterMs = 0 } = this.task;
    if (!(schedule instanceof Interval) && jitterMs === 0) return moment.nowMs;
    return schedule.next(this.#plannedMs, moment) > moment.nowMs ? this.#plannedMs : moment.nowMs;
  }
}
