import { callDict } from '../canvas/dict.ts';
import type { WireOptions } from '../canvas/wire-options.ts';
import { ImproperlyConfigured } from '../errors.ts';
import { parseIso } from '../protocol/time.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { Interval } from '../schedules/interval.ts';
import type { Schedule } from '../schedules/schedule.ts';

/** A periodic task: what to send, and when. */
export interface PeriodicTask extends PeriodicPolicy {
  readonly name: string;
  readonly schedule: Schedule;
  /** The call of one run; arguments given as a function are made anew for each. */
  readonly call: () => SignatureDict;
}

/** What else counts besides the schedule. */
export interface PeriodicPolicy {
  /** Never due until it is resumed; what it misses meanwhile is not made up. @default false */
  readonly paused?: boolean | undefined;
  /** Not due before, and no longer due after; Unix time, milliseconds. @default always */
  readonly startMs?: number | undefined;
  readonly endMs?: number | undefined;
  /** Not due once it ran this often. @default unlimited */
  readonly maxRuns?: number | undefined;
  /**
   * When the result of the last run is not there yet: send all the same, leave this run out, or send it as soon as the
   * last one has ended. The others need a result backend, and a task that does not ignore its result. @default 'allow'
   */
  readonly overlap?: 'allow' | 'skip' | 'wait' | undefined;
  /** A run without a result counts as lost after so long, and no longer as running. @default 1 hour */
  readonly overlapLimitMs?: number | undefined;
  /** Each run is sent late by up to this, by chance but the same for every beat; the schedule does not move. @default 0 */
  readonly jitterMs?: number | undefined;
  /**
   * A run that is later than this is left out.
   * @default for crontabs the setting `beatCronStartingDeadline`, else a missed run is sent once
   */
  readonly catchUpMs?: number | undefined;
}

/** What is set at run time, by name; `onChange` tells a beat of the same process at once. */
export class PeriodicTable extends Map<string, PeriodicTask> {
  /** Counts changes. */
  version = 0;
  readonly #listeners = new Set<() => void>();

  override set(name: string, task: PeriodicTask): this {
    super.set(name, task);
    return this.#changed();
  }

  override delete(name: string): boolean {
    const known = super.delete(name);
    if (known) this.#changed();
    return known;
  }

  override clear(): void {
    super.clear();
    this.#changed();
  }

  /** @returns a function that stops it */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #changed(): this {
    this.version++;
    for (const listener of [...this.#listeners]) listener();
    return this;
  }
}

type Lazy<T> = T | (() => T);

/** One entry of the setting `beatSchedule`, under Celery's names and units. */
export interface BeatEntry {
  readonly task: string;
  /** Seconds, a duration such as `'30s'`, or a schedule. */
  readonly schedule: number | Duration | Schedule;
  readonly args?: Lazy<readonly unknown[]>;
  readonly kwargs?: Lazy<Readonly<Record<string, unknown>>>;
  /** Options of `apply_async`: Celery's names, seconds. */
  readonly options?: WireOptions;
  /** Interval schedules: align to the clock. */
  readonly relative?: boolean;
  /** Ours, not Celery's: see `PeriodicPolicy`. */
  readonly paused?: boolean;
  /** ISO 8601 or `Date`. */
  readonly start?: string | Date;
  readonly end?: string | Date;
  readonly maxRuns?: number;
  readonly overlap?: 'allow' | 'skip' | 'wait';
  /** Durations: seconds, or `'30s'`. */
  readonly overlapLimit?: number | Duration;
  readonly jitter?: number | Duration;
  readonly catchUp?: number | Duration;
}

/**
 * The entries of the setting `beatSchedule`.
 * @throws {ImproperlyConfigured} naming the entry that cannot be read
 */
export function configuredTasks(beatSchedule: Readonly<Record<string, unknown>>): PeriodicTask[] {
  return Object.entries(beatSchedule).map(([name, value]) => {
    const entry = value as Partial<BeatEntry> | null;
    if (typeof entry !== 'object' || entry === null || typeof entry.task !== 'string') {
      throw new ImproperlyConfigured(
        `beatSchedule ${JSON.stringify(name)}: expected { task, schedule }, got ${JSON.stringify(value)}`,
      );
    }
    return periodicTask(name, entry);
  });
}

/**
 * One entry under its name.
 * @throws {ImproperlyConfigured} saying what cannot be read
 */
export function periodicTask(name: string, entry: Partial<BeatEntry>): PeriodicTask {
  const { task, args = [], kwargs = {}, options = {} } = entry;
  if (typeof task !== 'string') throw refuse(name, 'task is the name of a task');
  return {
    name,
    schedule: scheduleOf(name, entry),
    call: () => callDict(task, valueOf(args), { kwargs: valueOf(kwargs), options }),
    ...policyOf(name, entry),
  };
}

/** The fields of an entry that are not its call, checked. */
export function policyOf(name: string, entry: Partial<BeatEntry>): PeriodicPolicy {
  const { paused, start, end, maxRuns, overlap, overlapLimit, jitter, catchUp } = entry;
  if (overlap !== undefined && !['allow', 'skip', 'wait'].includes(overlap)) {
    throw refuse(name, `overlap is 'allow', 'skip' or 'wait', got ${JSON.stringify(overlap)}`);
  }
  if (maxRuns !== undefined && !(Number.isInteger(maxRuns) && maxRuns > 0)) {
    throw refuse(name, `maxRuns is a whole number above 0, got ${JSON.stringify(maxRuns)}`);
  }
  return {
    ...(paused !== undefined && { paused }),
    ...(start !== undefined && { startMs: momentOf(name, 'start', start) }),
    ...(end !== undefined && { endMs: momentOf(name, 'end', end) }),
    ...(maxRuns !== undefined && { maxRuns }),
    ...(overlap !== undefined && { overlap }),
    ...(overlapLimit !== undefined && { overlapLimitMs: spanOf(name, 'overlapLimit', overlapLimit) }),
    ...(jitter !== undefined && { jitterMs: spanOf(name, 'jitter', jitter) }),
    ...(catchUp !== undefined && { catchUpMs: spanOf(name, 'catchUp', catchUp) }),
  };
}

function spanOf(name: string, field: string, value: number | Duration): number {
  let ms = NaN;
  try {
    ms = typeof value === 'number' ? value * 1000 : durationMs(value);
  } catch {
    // Said below.
  }
  if (ms >= 0 && Number.isFinite(ms)) return ms;
  throw refuse(name, `${field} is a number of seconds or a duration such as '30s', got ${JSON.stringify(value)}`);
}

function momentOf(name: string, field: string, value: string | Date): number {
  try {
    return typeof value === 'string' ? parseIso(value) : Number.isNaN(value.getTime()) ? parseIso('') : value.getTime();
  } catch (cause) {
    throw refuse(name, `${field} is ISO 8601 text or a Date, got ${JSON.stringify(value)}`, cause);
  }
}

const refuse = (name: string, why: string, cause?: unknown): ImproperlyConfigured =>
  new ImproperlyConfigured(`periodic task ${JSON.stringify(name)}: ${why}`, { cause });

/** @throws {ImproperlyConfigured} when it is none of number, duration and schedule */
export function scheduleOf(
  name: string,
  { schedule, relative }: Pick<Partial<BeatEntry>, 'schedule' | 'relative'>,
): Schedule {
  try {
    if (typeof schedule === 'number') return new Interval(schedule * 1000, { relative });
    if (typeof schedule === 'string') return new Interval(durationMs(schedule), { relative });
  } catch (cause) {
    throw refuse(name, (cause as Error).message, cause);
  }
  if (isSchedule(schedule)) return schedule;
  throw refuse(name, `schedule is a number of seconds, '30s' or a schedule such as crontab(…)`);
}

function isSchedule(value: unknown): value is Schedule {
  return typeof value === 'object' && value !== null && typeof (value as Schedule).next === 'function';
}

const valueOf = <T>(lazy: Lazy<T>): T => (typeof lazy === 'function' ? (lazy as () => T)() : lazy);
