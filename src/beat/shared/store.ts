import type { PeriodicTask } from '../../app/periodic.ts';
import { LeaseLostError } from '../../errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { editorOf, mergeEdits } from '../edits.ts';
import type { Election, LoadContext, RunState, ScheduleEditor, ScheduleStore, StoredEntry } from '../schedule-store.ts';
import type { SharedDatabase } from './database.ts';

const POLL_MS = 1000;
/** Of the lease: how long it is granted for, so that a standby that looks now and then has it in time. */
const GRANTED = 0.75;

export interface SharedStoreOptions {
  /** Names this beat. */
  readonly holder: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * A schedule that several beats share: they elect the one that sends, and what it remembers is there for the next.
 * Every write names the lease that it was made under, so a beat that lost it without noticing writes nothing.
 */
export class SharedStore implements ScheduleStore {
  readonly name: string;
  readonly pollMs: number = POLL_MS;
  readonly editor: ScheduleEditor;
  readonly election: Election;
  readonly #database: SharedDatabase;
  readonly #options: SharedStoreOptions;
  #fence: string | undefined;
  #context: LoadContext = { timezone: 'UTC', enableUtc: true };
  #gone: readonly string[] = [];

  constructor(database: SharedDatabase, options: SharedStoreOptions) {
    this.#database = database;
    this.#options = options;
    this.name = database.name;
    this.editor = editorOf(database, () => options.clock.now());
    this.election = {
      leaseMs: options.leaseMs,
      grantedMs: options.leaseMs * GRANTED,
      campaign: () => this.#campaign(),
      resign: () => this.#resign(),
    };
  }

  async #campaign(): Promise<boolean> {
    const { holder, leaseMs } = this.#options;
    this.#fence = await this.#database.campaign(holder, leaseMs * GRANTED);
    return this.#fence !== undefined;
  }

  async #resign(): Promise<void> {
    const fence = this.#fence;
    this.#fence = undefined;
    if (fence !== undefined) await this.#database.resign(fence);
  }

  version(): Promise<number> {
    return this.#database.version();
  }

  async load(configured: readonly PeriodicTask[], context: LoadContext): Promise<StoredEntry[]> {
    const { log } = this.#options;
    const { context: stored, states, edits } = await this.#database.read();
    const valid = stored?.timezone === context.timezone && stored.enableUtc === context.enableUtc;
    if (stored !== undefined && !valid) log.warn({ store: this.name }, 'the time zone changed: last runs forgotten');
    const entries = mergeEdits(configured, edits, valid ? states : new Map<string, RunState>(), log);
    const names = new Set(entries.map(({ task }) => task.name));
    this.#context = context;
    this.#gone = [...states.keys()].filter((name) => !names.has(name));
    return entries;
  }

  /** @throws {LeaseLostError} when another beat leads by now */
  async save(states: ReadonlyMap<string, RunState>): Promise<void> {
    const fence = this.#fence;
    const changes = { context: this.#context, states, gone: this.#gone };
    if (fence === undefined || !(await this.#database.save(fence, changes))) {
      throw new LeaseLostError(`another beat leads the schedule in ${this.name} by now`);
    }
    this.#gone = [];
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}
