import { callDict } from '../canvas/dict.ts';
import type { WireOptions } from '../canvas/wire-options.ts';
import { ImproperlyConfigured } from '../errors.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { Interval } from '../schedules/interval.ts';
import type { Schedule } from '../schedules/schedule.ts';

/** A periodic task: what to send, and when. */
export interface PeriodicTask {
  readonly name: string;
  readonly schedule: Schedule;
  /** The call of one run; arguments given as a function are made anew for each. */
  readonly call: () => SignatureDict;
  /** Never due until it is resumed; what it misses meanwhile is not made up. @default false */
  readonly paused?: boolean | undefined;
  /** Not due before, and no longer due after; Unix time, milliseconds. @default always */
  readonly startMs?: number | undefined;
  readonly endMs?: number | undefined;
  /** Not due once it ran this often. @default unlimited */
  readonly maxRuns?: number | undefined;
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
    const { task, args = [], kwargs = {}, options = {} } = entry;
    return {
      name,
      schedule: scheduleOf(name, entry),
      call: () => callDict(task, valueOf(args), { kwargs: valueOf(kwargs), options }),
    };
  });
}

function scheduleOf(name: string, { schedule, relative }: Partial<BeatEntry>): Schedule {
  try {
    if (typeof schedule === 'number') return new Interval(schedule * 1000, { relative });
    if (typeof schedule === 'string') return new Interval(durationMs(schedule), { relative });
  } catch (cause) {
    throw new ImproperlyConfigured(`beatSchedule ${JSON.stringify(name)}: ${(cause as Error).message}`, { cause });
  }
  if (isSchedule(schedule)) return schedule;
  throw new ImproperlyConfigured(
    `beatSchedule ${JSON.stringify(name)}: schedule is a number of seconds, '30s' or a schedule such as crontab(…)`,
  );
}

function isSchedule(value: unknown): value is Schedule {
  return typeof value === 'object' && value !== null && typeof (value as Schedule).next === 'function';
}

const valueOf = <T>(lazy: Lazy<T>): T => (typeof lazy === 'function' ? (lazy as () => T)() : lazy);
