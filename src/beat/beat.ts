import type { Celery } from '../app/celery.ts';
import { effectiveTimezone } from '../app/timezone.ts';
import { withOptions } from '../canvas/dict.ts';
import { LeaseLostError } from '../errors.ts';
import { isReady } from '../result/states.ts';
import { sleep } from '../runtime/clock.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { configuredEntries } from './configured.ts';
import { Entry, type Moment } from './entry.ts';
import { Leadership } from './leadership.ts';
import type { LoadContext, ScheduleStore } from './schedule-store.ts';
import { openStore } from './scheduler.ts';

export interface BeatOptions {
  /**
   * Where the schedule lives and the last runs are kept; stays open when beat ends.
   * @default what the setting `beatScheduler` names, closed with beat
   */
  readonly store?: ScheduleStore | undefined;
  /** Longest sleep between two looks. @default setting `beatMaxLoopInterval`, else five minutes */
  readonly maxInterval?: Duration | undefined;
  /** Node name of the worker that this beat is part of; `beatEmbeddedInit` tells it. */
  readonly embeddedIn?: string | undefined;
  /** What handlers of `beatInit` are given: the command line's options, those of `app.userOptions` among them. */
  readonly userOptions?: Readonly<Record<string, unknown>> | undefined;
}

const MAX_INTERVAL_MS = 300_000;
const POLL_MS = 5000;
/** Between tries while the store cannot be reached. */
const RETRY_MS = 1000;
/** Runs on their way to the broker at a time. */
const SEND_WINDOW = 100;
/** Between looks whether a run has ended that the next one waits for. */
const OVERLAP_POLL_MS = 1000;

/**
 * Sends periodic tasks when they are due: those of the setting `beatSchedule` and of `app.addPeriodicTask`.
 * One beat for a schedule, unless its store lets several elect one (`Election`). How it uses its store: `schedule-store.ts`. Source: `celery.beat.Scheduler`.
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
  readonly #options: BeatOptions;
  #store: ScheduleStore | undefined;
  #entries: Entry[] = [];
  /** Of the app's entries and of the store's, when they were loaded; undefined: they have to be loaded. */
  #seen: { readonly table: number; readonly store: unknown; readonly term: number } | undefined;
  #leadership: Leadership | undefined;
  #askedMs = 0;

  constructor(app: Celery, options: BeatOptions = {}) {
    const { beatMaxLoopInterval } = app.conf;
    this.#app = app;
    this.#options = options;
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
    await this.#announce();
    const store = await this.#opened();
    const leadership = this.#leadershipOf(store);
    const stop = new AbortController();
    let kept: Promise<void> | undefined;
    try {
      if (leadership === undefined) await this.#load(store);
      else await store.load(await configuredEntries(this.#app), this.#context()); // what is wrong is said now
      log.info({ entries: this.#entries.length, store: store.name }, 'beat: Starting...');
      kept = leadership?.keep(stop.signal);
      while (!signal?.aborted) await this.#sleep(await this.#patientTick(), signal);
    } finally {
      stop.abort();
      await kept;
      if (this.#ownsStore) {
        this.#store = undefined;
        await store.close?.();
      }
    }
  }

  /** Source: `Service.start` of celery.beat. */
  async #announce(): Promise<void> {
    const { signals } = this.#app;
    const { embeddedIn, userOptions = {} } = this.#options;
    const event = { sender: embeddedIn ?? 'beat', beat: this, options: userOptions };
    await signals.emit('beatInit', event);
    if (embeddedIn !== undefined) await signals.emit('beatEmbeddedInit', event);
  }

  async #patientTick(): Promise<number> {
    try {
      return await this.tick();
    } catch (error) {
      if (error instanceof LeaseLostError) {
        this.#leadership?.lose();
        return 0;
      }
      this.#app.log.error({ error, store: this.#store?.name }, 'beat cannot reach its schedule, trying again');
      this.#seen = undefined;
      return RETRY_MS;
    }
  }

  /**
   * Sends what is due now, if this beat leads.
   * @returns milliseconds until the next look
   */
  async tick(): Promise<number> {
    const { clock } = this.#app;
    const store = await this.#opened();
    const leadership = this.#leadershipOf(store);
    if (leadership !== undefined && !leadership.holds && !(await leadership.campaign())) return this.#maxIntervalMs;
    if (await this.#isStale(store)) await this.#load(store);
    const due = this.#due();
    if (due.length > 0) await this.#send(store, due);
    const next = this.#entries.reduce((soonest, { nextMs }) => Math.min(soonest, nextMs), Infinity);
    return Math.max(0, Math.min(next - clock.now(), this.#maxIntervalMs, pollMs(store)));
  }

  #due(): Entry[] {
    const moment = this.#moment();
    return this.#entries.filter((entry) => entry.isDue(moment));
  }

  async #opened(): Promise<ScheduleStore> {
    return (this.#store ??= await openStore(this.#app));
  }

  #leadershipOf({ election }: ScheduleStore): Leadership | undefined {
    const { clock, log } = this.#app;
    if (election === undefined) return undefined;
    return (this.#leadership ??= new Leadership(election, clock, log));
  }

  /** Ends early when the app's own entries change, and when this beat begins or ceases to lead. */
  async #sleep(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock, periodicTasks } = this.#app;
    if (signal?.aborted || (this.#seen !== undefined && this.#seen.table !== periodicTasks.version)) return;
    if (this.#leadership?.holds && this.#seen?.term !== this.#term) return;
    const nap = new AbortController();
    const wake = (): void => nap.abort();
    const forget = periodicTasks.onChange(wake);
    signal?.addEventListener('abort', wake, { once: true });
    const deaf = this.#leadership?.onChange(wake);
    await sleep(clock, waitMs, nap.signal).catch(() => {});
    signal?.removeEventListener('abort', wake);
    deaf?.();
    forget();
  }

  async #isStale(store: ScheduleStore): Promise<boolean> {
    const { table, term } = this.#seen ?? {};
    if (table !== this.#app.periodicTasks.version || term !== this.#term) return true;
    const nowMs = this.#app.clock.monotonic();
    if (store.version === undefined || nowMs - this.#askedMs < Math.min(pollMs(store), this.#maxIntervalMs))
      return false;
    this.#askedMs = nowMs;
    return (await store.version()) !== this.#seen?.store;
  }

  async #load(store: ScheduleStore): Promise<void> {
    const { clock, log, periodicTasks } = this.#app;
    // Asked first: what is changed while loading is loaded again.
    const seen = { table: periodicTasks.version, term: this.#term, store: await store.version?.() };
    this.#askedMs = clock.monotonic();
    const loaded = await store.load(await configuredEntries(this.#app), this.#context());
    const moment = this.#moment();
    this.#entries = loaded.map((stored) => new Entry(stored, moment));
    const fresh = this.#entries.filter((_, i) => loaded[i]?.state === undefined);
    if (fresh.length > 0) await this.#save(store, fresh);
    this.#seen = seen;
    const interrupted = this.#entries.filter(({ pending }) => pending !== undefined);
    if (interrupted.length > 0) {
      log.warn({ entries: interrupted.map(({ name }) => name) }, 'sending again what a crash interrupted, same ids');
      await this.#publish(store, interrupted);
    }
  }

  get #term(): number {
    return this.#leadership?.term ?? 0;
  }

  #context(): LoadContext {
    return { timezone: this.#timezone, enableUtc: this.#app.conf.enableUtc };
  }

  #moment(): Moment {
    const { clock, conf } = this.#app;
    const { beatCronStartingDeadline: deadline } = conf;
    const cronDeadlineMs = deadline === null ? undefined : deadline * 1000;
    return { nowMs: clock.now(), timezone: this.#timezone, cronDeadlineMs };
  }

  /** Decides, writes down, sends, writes down again. */
  async #send(store: ScheduleStore, due: readonly Entry[]): Promise<void> {
    const { log, random } = this.#app;
    const running = await this.#stillRunning(due);
    const moment = this.#moment();
    const runs: Entry[] = [];
    const decided: Entry[] = [];
    for (const entry of due) {
      const { name } = entry;
      if (running.has(entry)) {
        if (entry.task.overlap === 'wait') {
          entry.nextMs = moment.nowMs + OVERLAP_POLL_MS;
          continue;
        }
        log.info({ entry: name, running: entry.lastId }, 'the last run has not ended: this one is left out');
        entry.leaveOut(moment);
      } else if (entry.isPastDeadline(moment)) {
        log.warn({ entry: name }, 'missed for longer than its deadline: skipped');
        entry.leaveOut(moment);
      } else {
        entry.begin(store.runId?.(name) ?? random.uuid(), moment);
        runs.push(entry);
      }
      decided.push(entry);
    }
    if (decided.length > 0) await this.#save(store, decided);
    if (runs.length > 0) await this.#publish(store, runs);
  }

  /** Entries with an overlap policy whose last run has no result yet. */
  async #stillRunning(due: readonly Entry[]): Promise<ReadonlySet<Entry>> {
    const { clock } = this.#app;
    const asked = due.filter((entry) => entry.overlapping(clock.now()) !== undefined);
    if (asked.length === 0) return new Set();
    const backend = await this.#app.backend();
    const records = await Promise.all(asked.map((entry) => backend.load(entry.lastId as string)));
    return new Set(asked.filter((_, i) => !isReady(records[i]?.status ?? 'PENDING')));
  }

  async #publish(store: ScheduleStore, entries: readonly Entry[]): Promise<void> {
    for (let at = 0; at < entries.length; at += SEND_WINDOW) {
      const sent = await Promise.allSettled(
        entries.slice(at, at + SEND_WINDOW).map((entry) => this.#publishOne(entry)),
      );
      for (const one of sent) if (one.status === 'rejected') throw one.reason as Error;
    }
    await this.#save(store, entries);
  }

  /**
   * What cannot be sent is reported and counts as done, as in Celery; the publisher has retried by then.
   * @throws {LeaseLostError} when another beat has the run by now
   */
  async #publishOne(entry: Entry): Promise<void> {
    const { log, sender } = this.#app;
    const { name, pending } = entry;
    const leadership = this.#leadership;
    try {
      const dict = withOptions(entry.task.call(), { task_id: pending });
      // The last look before it leaves: this process may have been stopped since the run was written down.
      if (leadership?.holds === false) throw new LeaseLostError('this beat leads no longer');
      log.info({ entry: name, task: dict.task }, 'Scheduler: Sending due task');
      await sender.sendDetached(dict, {}, { signal: leadership?.signal, once: true });
    } catch (error) {
      if (leadership?.holds === false)
        throw new LeaseLostError(`the run of "${name}" is another beat's by now`, { cause: error });
      log.error({ error, entry: name }, 'Message Error');
    }
    entry.pending = undefined;
  }

  /** Whether it worked is not known when it fails: what is stored counts then. */
  async #save(store: ScheduleStore, entries: readonly Entry[]): Promise<void> {
    const states = new Map(entries.map((entry) => [entry.name, entry.state]));
    try {
      await store.save(states);
    } catch (error) {
      this.#seen = undefined;
      throw error;
    }
  }
}

const pollMs = ({ pollMs: ms, version }: ScheduleStore): number => ms ?? (version === undefined ? Infinity : POLL_MS);
