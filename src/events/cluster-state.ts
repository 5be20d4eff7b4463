import { silentLogger, type Logger } from '../runtime/logger.ts';
import { Lru } from './lru.ts';
import { insertSorted } from './sorted.ts';
import { TaskState } from './task-state.ts';
import { MOST_DRIFT_SECONDS, WorkerState } from './worker-state.ts';

export interface ClusterStateOptions {
  /** Workers remembered; the one unheard of the longest goes first. @default 5000 */
  readonly maxWorkers?: number;
  /** Tasks remembered; the oldest goes first. @default 10000 */
  readonly maxTasks?: number;
  /** Called for a worker that was unknown or says it came online. */
  readonly onNodeJoin?: (worker: WorkerState) => void;
  readonly onNodeLeave?: (worker: WorkerState) => void;
  /** Told about clocks that differ, once for each node. @default nothing is logged */
  readonly log?: Logger;
}

/** Where an event stands among the others. */
interface Moment {
  readonly clock: number | null;
  readonly timestamp: number;
  /** `hostname.pid` */
  readonly origin: string;
  readonly task: TaskState;
}

/** What one event did: the worker or task it was about, and whether it was new. */
export interface Applied {
  readonly worker?: WorkerState;
  readonly task?: TaskState;
  readonly created: boolean;
  /** The type's last part: `heartbeat`, `succeeded`. */
  readonly subject: string;
}

/** Events remembered for each task, on average: sent, received, started, and its end. */
const MOMENTS_PER_TASK = 4;
const MOST_DRIFT_WARNINGS = 1000;

/**
 * What a cluster looks like, computed from its events and nothing else: no clock, no connection. The same events give
 * the same state as Celery's.
 *
 * @example
 * const state = new ClusterState();
 * for await (const event of app.events()) state.apply(event);
 *
 * Source: celery.events.state.State.
 */
export class ClusterState {
  readonly workers: Lru<WorkerState>;
  readonly tasks: Lru<TaskState>;
  /** Events seen. */
  eventCount = 0;
  /** Tasks received by workers. */
  taskCount = 0;
  readonly #options: ClusterStateOptions;
  readonly #log: Logger;
  readonly #moments: Moment[] = [];
  readonly #mostMoments: number;
  readonly #types = new Set<string>();
  readonly #warned = new Set<string>();
  /** Children of tasks that have not been seen, by the parent's id. */
  readonly #orphans: Lru<Set<string>>;

  constructor(options: ClusterStateOptions = {}) {
    const { maxWorkers = 5000, maxTasks = 10_000 } = options;
    this.#options = options;
    this.#log = options.log ?? silentLogger;
    this.workers = new Lru(maxWorkers);
    this.tasks = new Lru(maxTasks);
    this.#orphans = new Lru(maxTasks);
    this.#mostMoments = maxTasks * MOMENTS_PER_TASK;
  }

  /**
   * Takes one event into account. One that lacks what it must have changes nothing.
   * @returns what it was about; undefined for events about neither workers nor tasks
   */
  apply(event: { readonly type: string }): Applied | undefined {
    this.eventCount++;
    const fields = event as Readonly<Record<string, unknown>>;
    const dash = event.type.indexOf('-');
    const group = dash < 0 ? event.type : event.type.slice(0, dash);
    const subject = dash < 0 ? '' : event.type.slice(dash + 1);
    if (typeof fields['hostname'] !== 'string' || typeof fields['timestamp'] !== 'number') return undefined;
    if (group === 'worker') return this.#worker(subject, fields);
    if (group === 'task' && typeof fields['uuid'] === 'string' && 'clock' in fields) return this.#task(subject, fields);
    return undefined;
  }

  /** Workers whose last heartbeat is recent enough. @param nowSeconds Unix time */
  aliveWorkers(nowSeconds: number): WorkerState[] {
    return [...this.workers.values()].filter((worker) => worker.isAlive(nowSeconds));
  }

  /** Tasks by their latest event, the newest first. */
  *tasksByTime(options: { readonly limit?: number; readonly oldestFirst?: boolean } = {}): Generator<TaskState> {
    const { limit = Infinity, oldestFirst = false } = options;
    const seen = new Set<TaskState>();
    for (let at = 0; at < this.#moments.length && seen.size < limit; at++) {
      const { task } = this.#moments[oldestFirst ? at : this.#moments.length - 1 - at] as Moment;
      if (seen.has(task) || this.tasks.peek(task.uuid) !== task) continue;
      seen.add(task);
      yield task;
    }
  }

  /** Tasks of one name, the newest first. */
  tasksByType(name: string, limit = Infinity): TaskState[] {
    return this.#select((task) => task.name === name, limit);
  }

  /** Tasks that one worker ran or runs, the newest first. */
  tasksByWorker(hostname: string, limit = Infinity): TaskState[] {
    return this.#select((task) => task.worker?.hostname === hostname, limit);
  }

  /** Every task name that was seen, sorted. */
  taskTypes(): string[] {
    return [...this.#types].sort();
  }

  /** Forgets tasks. @param options.all those too that have not ended @default false */
  clearTasks(options: { readonly all?: boolean } = {}): void {
    const kept = options.all ? [] : [...this.tasks.values()].filter((task) => !task.ready);
    this.tasks.clear();
    for (const task of kept) this.tasks.set(task.uuid, task);
    this.#moments.length = 0;
  }

  #select(wanted: (task: TaskState) => boolean, limit: number): TaskState[] {
    const found: TaskState[] = [];
    for (const task of this.tasksByTime()) {
      if (found.length >= limit) break;
      if (wanted(task)) found.push(task);
    }
    return found;
  }

  #worker(subject: string, event: Readonly<Record<string, unknown>>): Applied {
    const hostname = event['hostname'] as string;
    const leaves = subject === 'offline';
    const known = this.workers.peek(hostname);
    const worker = known ?? new WorkerState(hostname);
    // Of a worker that was not known, only its coming is worth remembering.
    const created = known === undefined && !leaves;
    if (created) this.workers.set(hostname, worker);
    worker.describe(event);
    if (leaves) worker.leave();
    else this.#beat(worker, event['local_received'], event['timestamp']);
    if (created || subject === 'online') this.#options.onNodeJoin?.(worker);
    if (leaves) {
      this.#options.onNodeLeave?.(worker);
      this.workers.delete(hostname);
    }
    return { worker, created, subject };
  }

  #task(subject: string, event: Readonly<Record<string, unknown>>): Applied {
    const uuid = event['uuid'] as string;
    const hostname = event['hostname'] as string;
    const timestamp = event['timestamp'] as number;
    const known = this.tasks.peek(uuid);
    const task = known ?? new TaskState(uuid);
    if (known === undefined) this.tasks.set(uuid, task);
    let origin = hostname;
    if (subject === 'sent') task.client = hostname;
    else {
      const worker = this.#workerNamed(hostname);
      task.worker = worker;
      origin = worker.id;
      // Quirk: Celery swaps both times here, so a task's event counts from when it was sent.
      this.#beat(worker, timestamp, event['local_received']);
    }
    this.#remember({ clock: event['clock'] as number | null, timestamp, origin, task });
    if (subject === 'received') this.taskCount++;
    task.apply(subject, event);
    if (task.name !== null) this.#types.add(task.name);
    this.#adopt(task);
    return { task, created: known === undefined, subject };
  }

  #workerNamed(hostname: string): WorkerState {
    let worker = this.workers.peek(hostname);
    if (worker === undefined) this.workers.set(hostname, (worker = new WorkerState(hostname)));
    return worker;
  }

  #beat(worker: WorkerState, at: unknown, other: unknown): void {
    if (typeof at !== 'number' || typeof other !== 'number' || !at || !other) return;
    const drift = Math.abs(Math.trunc(at) - Math.trunc(other));
    if (drift > MOST_DRIFT_SECONDS && !this.#warned.has(worker.hostname)) {
      if (this.#warned.size >= MOST_DRIFT_WARNINGS) this.#warned.clear();
      this.#warned.add(worker.hostname);
      this.#log.warn({ worker: worker.hostname, drift }, 'the clocks of a worker and of this machine differ');
    }
    worker.beat(at);
  }

  #remember(moment: Moment): void {
    if (this.#moments.length + 1 > this.#mostMoments) this.#moments.shift();
    insertSorted(this.#moments, moment, isEarlier);
  }

  #adopt(task: TaskState): void {
    if (task.parent_id) {
      // As in Celery, a parent whose children come in is remembered longer.
      const parent = this.tasks.get(task.parent_id);
      if (parent !== undefined) parent.children.add(task.uuid);
      else {
        const siblings = this.#orphans.peek(task.parent_id);
        if (siblings === undefined) this.#orphans.set(task.parent_id, new Set([task.uuid]));
        else siblings.add(task.uuid);
      }
    }
    const children = this.#orphans.peek(task.uuid);
    if (children === undefined) return;
    this.#orphans.delete(task.uuid);
    for (const child of children) task.children.add(child);
  }
}

/** By logical clock; equal ones by origin; by time where a clock is missing. Source: kombu.clocks.timetuple. */
function isEarlier(a: Moment, b: Moment): boolean {
  if (!a.clock || !b.clock) return a.timestamp < b.timestamp;
  return a.clock === b.clock ? a.origin < b.origin : a.clock < b.clock;
}
