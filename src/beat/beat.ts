import type { Celery } from '../app/celery.ts';
import { configuredTasks, type PeriodicTask } from '../app/periodic.ts';
import { effectiveTimezone } from '../app/timezone.ts';
import { callDict, withOptions } from '../canvas/dict.ts';
import { sleep } from '../runtime/clock.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { Crontab } from '../schedules/crontab.ts';
import { Interval } from '../schedules/interval.ts';
import type { Schedule } from '../schedules/schedule.ts';
import type { ScheduleStore } from './schedule-store.ts';
import { openStore } from './scheduler.ts';

export interface BeatOptions {
  /**
   * Where the schedule lives and the last runs are kept; stays open when beat ends.
   * @default what the setting `beatScheduler` names, closed with beat
   */
  readonly store?: ScheduleStore | undefined;
  /** Longest sleep between two looks. @default setting `beatMaxLoopInterval`, else five minutes */
  readonly maxInterval?: Duration | undefined;
}

const MAX_INTERVAL_MS = 300_000;
const POLL_MS = 5000;
/** Between tries while the store cannot be reached. */
const RETRY_MS = 1000;
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
 * Only one beat may run for a schedule. How it uses its store: `schedule-store.ts`. Source: `celery.beat.Scheduler`.
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
  readonly #maxIntervalMs: number;
  readonly #timezone: string;
  readonly #ownsStore: boolean;
  #store: ScheduleStore | undefined;
  #entries: Entry[] = [];
  /** Of the app's entries and of the store's, when they were loaded; undefined: they have to be loaded. */
  #seen: { readonly table: number; readonly store: unknown } | undefined;
  #askedMs = 0;

  constructor(app: Celery, options: BeatOptions = {}) {
    const { beatMaxLoopInterval } = app.conf;
    this.#app = app;
    this.#store = options.store;
    this.#ownsStore = options.store === undefined;
    const configured = beatMaxLoopInterval > 0 ? beatMaxLoopInterval * 1000 : MAX_INTERVAL_MS;
    this.#maxIntervalMs = options.maxInterval === undefined ? configured : durationMs(options.maxInterval);
    this.#timezone = effectiveTimezone(app.conf);
  }

  get maxIntervalMs(): number {
    return this.#maxIntervalMs;
  }

  /**
   * Sends what is due until the signal aborts; then resolves with everything written down. A store that fails on the way
   * is tried again; nothing is sent meanwhile.
   * @throws what keeps it from starting: a schedule that cannot be read, a store that cannot be reached
   */
  async run({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { log } = this.#app;
    const store = await this.#opened();
    try {
      await this.#load(store);
      log.info({ entries: this.#entries.length, store: store.name }, 'beat: Starting...');
      while (!signal?.aborted) await this.#sleep(await this.#patientTick(), signal);
    } finally {
      if (this.#ownsStore) {
        this.#store = undefined;
        await store.close?.();
      }
    }
  }

  async #patientTick(): Promise<number> {
    try {
      return await this.tick();
    } catch (error) {
      this.#app.log.error({ error, store: this.#store?.name }, 'beat cannot reach its schedule, trying again');
      this.#seen = undefined;
      return RETRY_MS;
    }
  }

  /**
   * Sends what is due now.
   * @returns milliseconds until the next look
   */
  async tick(): Promise<number> {
    const { clock } = this.#app;
    const store = await this.#opened();
    if (await this.#isStale(store)) await this.#load(store);
    const due = this.#entries.filter(({ nextMs }) => nextMs <= clock.now());
    if (due.length > 0) await this.#send(store, due);
    const next = this.#entries.reduce((soonest, { nextMs }) => Math.min(soonest, nextMs), Infinity);
    return Math.max(0, Math.min(next - clock.now(), this.#maxIntervalMs, pollMs(store)));
  }

  async #opened(): Promise<ScheduleStore> {
    return (this.#store ??= await openStore(this.#app));
  }

  /** Ends early when the app's own entries change. */
  async #sleep(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock, periodicTasks } = this.#app;
    if (signal?.aborted || (this.#seen !== undefined && this.#seen.table !== periodicTasks.version)) return;
    const nap = new AbortController();
    const wake = (): void => nap.abort();
    const forget = periodicTasks.onChange(wake);
    signal?.addEventListener('abort', wake, { once: true });
    await sleep(clock, waitMs, nap.signal).catch(() => {});
    signal?.removeEventListener('abort', wake);
    forget();
  }

  async #isStale(store: ScheduleStore): Promise<boolean> {
    if (this.#seen === undefined || this.#seen.table !== this.#app.periodicTasks.version) return true;
    const nowMs = this.#app.clock.monotonic();
    if (store.version === undefined || nowMs - this.#askedMs < pollMs(store)) return false;
    this.#askedMs = nowMs;
    return (await store.version()) !== this.#seen.store;
  }

  async #load(store: ScheduleStore): Promise<void> {
    const { clock, conf, log, periodicTasks } = this.#app;
    // Asked first: what is changed while loading is loaded again.
    const seen = { table: periodicTasks.version, store: await store.version?.() };
    this.#askedMs = clock.monotonic();
    const context = { timezone: this.#timezone, enableUtc: conf.enableUtc };
    const loaded = await store.load(await this.#configured(), context);
    const nowMs = clock.now();
    this.#entries = loaded.map(({ task, state }) => {
      const { lastRunMs = nowMs, totalRunCount = 0, pending } = state ?? {};
      const entry = { task, lastRunMs, totalRunCount, pending, nextMs: Infinity };
      entry.nextMs = this.#next(entry);
      return entry;
    });
    const fresh = this.#entries.filter((_, i) => loaded[i]?.state === undefined);
    if (fresh.length > 0) await this.#save(store, fresh);
    this.#seen = seen;
    const interrupted = this.#entries.filter(({ pending }) => pending !== undefined);
    if (interrupted.length > 0) {
      log.warn(
        { entries: interrupted.map(({ task }) => task.name) },
        'sending again what a crash interrupted, same ids',
      );
      await this.#publish(store, interrupted);
    }
  }

  /** Entries of settings and app; the app's own win. */
  async #configured(): Promise<PeriodicTask[]> {
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

  #next({ task, lastRunMs, totalRunCount }: Entry): number {
    const { schedule, paused = false, startMs = -Infinity, endMs = Infinity, maxRuns = Infinity } = task;
    if (paused || totalRunCount >= maxRuns) return Infinity;
    const next = this.#following(schedule, lastRunMs);
    const first =
      next >= startMs ? next : schedule instanceof Interval ? startMs : this.#following(schedule, startMs - 1);
    return first > endMs ? Infinity : first;
  }

  #following(schedule: Schedule, lastRunMs: number): number {
    return schedule.next(lastRunMs, { nowMs: this.#app.clock.now(), timezone: this.#timezone });
  }

  /** Decides, writes down, sends, writes down again. */
  async #send(store: ScheduleStore, due: readonly Entry[]): Promise<void> {
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
      entry.nextMs = this.#next(entry);
      return !late;
    });
    await this.#save(store, due);
    await this.#publish(store, runs);
  }

  async #publish(store: ScheduleStore, entries: readonly Entry[]): Promise<void> {
    for (let at = 0; at < entries.length; at += SEND_WINDOW) {
      await Promise.all(entries.slice(at, at + SEND_WINDOW).map((entry) => this.#publishOne(entry)));
    }
    if (entries.length > 0) await this.#save(store, entries);
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
    return nextMs < oldestMs && this.#following(task.schedule, oldestMs) > nowMs;
  }

  /** Whether it worked is not known when it fails: what is stored counts then. */
  async #save(store: ScheduleStore, entries: readonly Entry[]): Promise<void> {
    const states = new Map(
      entries.map(({ task, lastRunMs, totalRunCount, pending }) => [
        task.name,
        { lastRunMs, totalRunCount, ...(pending !== undefined && { pending }) },
      ]),
    );
    try {
      await store.save(states);
    } catch (error) {
      this.#seen = undefined;
      throw error;
    }
  }
}

const pollMs = ({ pollMs: ms, version }: ScheduleStore): number => ms ?? (version === undefined ? Infinity : POLL_MS);
