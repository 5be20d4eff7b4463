import type { Celery } from '../app/celery.ts';
import { configuredTasks, type PeriodicTask } from '../app/periodic.ts';
import { effectiveTimezone } from '../app/timezone.ts';
import { callDict, withOptions } from '../canvas/dict.ts';
import { sleep } from '../runtime/clock.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { Crontab } from '../schedules/crontab.ts';
import { FileStore } from './file-store.ts';
import type { RunState, ScheduleStore } from './schedule-store.ts';

export interface BeatOptions {
  /** Where the last runs are kept. @default a file named by the setting `beatScheduleFilename`, with `.json` */
  readonly store?: ScheduleStore | undefined;
  /** Longest sleep between two looks. @default setting `beatMaxLoopInterval`, else five minutes */
  readonly maxInterval?: Duration | undefined;
}

const MAX_INTERVAL_MS = 300_000;
/** Runs on their way to the broker at a time. */
const SEND_WINDOW = 100;
const CLEANUP = 'celery.backend_cleanup';
const CLEANUP_EXPIRES_S = 12 * 3600;

interface Entry {
  readonly task: PeriodicTask;
  lastRunMs: number;
  totalRunCount: number;
  pending: string | undefined;
  nextMs: number;
}

/**
 * Sends periodic tasks when they are due: those of the setting `beatSchedule` and of `app.addPeriodicTask`.
 * Only one beat may run for a schedule. Source: `celery.beat.Scheduler`.
 *
 * A run is written down with its task id before it is sent, and a beat that died in between sends it again under the
 * same id when it is back. So no run is lost to a crash, and none is sent under two ids. Differs: Celery writes its
 * file every three minutes.
 *
 * @example
 * await new Beat(app).run({ signal: stop.signal });
 */
export class Beat {
  readonly #app: Celery;
  readonly #store: ScheduleStore;
  readonly #maxIntervalMs: number;
  readonly #timezone: string;
  #entries: Entry[] = [];
  #seen: unknown;

  constructor(app: Celery, options: BeatOptions = {}) {
    const { beatScheduleFilename, beatMaxLoopInterval } = app.conf;
    this.#app = app;
    this.#store = options.store ?? new FileStore(`${beatScheduleFilename}.json`, app.log);
    const configured = beatMaxLoopInterval > 0 ? beatMaxLoopInterval * 1000 : MAX_INTERVAL_MS;
    this.#maxIntervalMs = options.maxInterval === undefined ? configured : durationMs(options.maxInterval);
    this.#timezone = effectiveTimezone(app.conf);
  }

  /** For banners. */
  get store(): { readonly name: string } {
    return this.#store;
  }

  get maxIntervalMs(): number {
    return this.#maxIntervalMs;
  }

  /** Sends what is due until the signal aborts; then resolves with everything written down. */
  async run({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { clock, log } = this.#app;
    await this.#open();
    log.info({ entries: this.#entries.length, store: this.#store.name }, 'beat: Starting...');
    while (!signal?.aborted) {
      const waitMs = await this.tick();
      if (signal?.aborted) break;
      await sleep(clock, waitMs, signal).catch(() => {});
    }
    await this.#save();
  }

  /**
   * Sends what is due now.
   * @returns milliseconds until the next look
   */
  async tick(): Promise<number> {
    const { clock } = this.#app;
    if (this.#seen !== this.#app.periodicTasks.size || this.#entries.length === 0) await this.#open();
    const due = this.#entries.filter(({ nextMs }) => nextMs <= clock.now());
    if (due.length > 0) await this.#send(due);
    const next = this.#entries.reduce((soonest, { nextMs }) => Math.min(soonest, nextMs), Infinity);
    return Math.max(0, Math.min(next - clock.now(), this.#maxIntervalMs));
  }

  /** Merges the schedule with what is stored: what is known keeps its last run, what is new runs after its interval. */
  async #open(): Promise<void> {
    const { clock, conf, log } = this.#app;
    const stored = await this.#store.load();
    const valid = stored?.timezone === this.#timezone && stored.enableUtc === conf.enableUtc;
    if (stored !== undefined && !valid)
      log.warn({ store: this.#store.name }, 'the time zone changed: last runs forgotten');
    const known: Readonly<Record<string, RunState>> = valid ? stored.entries : {};
    this.#seen = this.#app.periodicTasks.size;
    const nowMs = clock.now();
    this.#entries = (await this.#tasks()).map((task) => {
      const {
        lastRunMs = nowMs,
        totalRunCount = 0,
        pending,
      } = Object.hasOwn(known, task.name) ? known[task.name]! : {};
      return { task, lastRunMs, totalRunCount, pending, nextMs: this.#next(task, lastRunMs) };
    });
    await this.#save();
    const interrupted = this.#entries.filter(({ pending }) => pending !== undefined);
    if (interrupted.length > 0) {
      log.warn(
        { entries: interrupted.map(({ task }) => task.name) },
        'sending again what a crash interrupted, same ids',
      );
      await this.#publish(interrupted);
    }
  }

  async #tasks(): Promise<PeriodicTask[]> {
    const { conf, periodicTasks } = this.#app;
    const tasks = new Map(configuredTasks(conf.beatSchedule).map((task) => [task.name, task]));
    for (const [name, task] of periodicTasks) tasks.set(name, task);
    if (conf.resultExpires !== null && !tasks.has(CLEANUP)) {
      const { capabilities } = await this.#app.backend();
      const call = () => callDict(CLEANUP, [], { options: { expires: CLEANUP_EXPIRES_S } });
      const schedule = new Crontab({ minute: 0, hour: 4 });
      if (capabilities.expiry === 'sweep') tasks.set(CLEANUP, { name: CLEANUP, schedule, call });
    }
    return [...tasks.values()];
  }

  #next({ schedule }: PeriodicTask, lastRunMs: number): number {
    return schedule.next(lastRunMs, { nowMs: this.#app.clock.now(), timezone: this.#timezone });
  }

  /** Decides, writes down, sends, writes down again. */
  async #send(due: readonly Entry[]): Promise<void> {
    const { clock, log, random } = this.#app;
    const nowMs = clock.now();
    const runs = due.filter((entry) => {
      const late = this.#isPastDeadline(entry, nowMs);
      if (late) log.warn({ entry: entry.task.name }, 'missed for longer than beatCronStartingDeadline: skipped');
      entry.lastRunMs = nowMs;
      if (!late) {
        entry.totalRunCount++;
        entry.pending = random.uuid();
      }
      entry.nextMs = this.#next(entry.task, nowMs);
      return !late;
    });
    await this.#save();
    await this.#publish(runs);
  }

  async #publish(entries: readonly Entry[]): Promise<void> {
    for (let at = 0; at < entries.length; at += SEND_WINDOW) {
      await Promise.all(entries.slice(at, at + SEND_WINDOW).map((entry) => this.#publishOne(entry)));
    }
    await this.#save();
  }

  /** What cannot be sent is reported and counts as done, as in Celery; the publisher has retried by then. */
  async #publishOne(entry: Entry): Promise<void> {
    const { log, sender } = this.#app;
    const { name, call } = entry.task;
    try {
      const dict = call();
      log.info({ entry: name, task: dict.task }, 'Scheduler: Sending due task');
      await sender.sendDetached(withOptions(dict, { task_id: entry.pending }));
    } catch (error) {
      log.error({ error, entry: name }, 'Message Error');
    }
    entry.pending = undefined;
  }

  /** Whether a crontab's last missed moment is too long ago. */
  #isPastDeadline({ task, nextMs }: Entry, nowMs: number): boolean {
    const { beatCronStartingDeadline } = this.#app.conf;
    if (beatCronStartingDeadline === null || !(task.schedule instanceof Crontab)) return false;
    const oldestMs = nowMs - beatCronStartingDeadline * 1000;
    return nextMs < oldestMs && this.#next(task, oldestMs) > nowMs;
  }

  async #save(): Promise<void> {
    const entries = Object.fromEntries(
      this.#entries.map(({ task, lastRunMs, totalRunCount, pending }) => [
        task.name,
        { lastRunMs, totalRunCount, ...(pending !== undefined && { pending }) },
      ]),
    );
    await this.#store.save({ timezone: this.#timezone, enableUtc: this.#app.conf.enableUtc, entries });
  }
}
