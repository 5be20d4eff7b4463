import { isReady, precedence } from '../result/states.ts';
import type { WorkerState } from './worker-state.ts';

/** What the last part of an event's type says about the task. */
const STATE_OF: Readonly<Record<string, string>> = {
  sent: 'PENDING',
  received: 'RECEIVED',
  started: 'STARTED',
  failed: 'FAILURE',
  retried: 'RETRY',
  succeeded: 'SUCCESS',
  revoked: 'REVOKED',
  rejected: 'REJECTED',
};

/** What is still believed of an event that came too late to change the state. */
const LATE_FIELDS: Readonly<Record<string, ReadonlySet<string>>> = {
  RECEIVED: new Set(['name', 'args', 'kwargs', 'parent_id', 'root_id', 'retries', 'eta', 'expires']),
};

/** Fields of an event that describe the event, not the task. */
const OF_THE_EVENT: ReadonlySet<string> = new Set(['type', 'hostname', 'pid', 'utcoffset', 'local_received']);

/** One task as its events describe it; keys are the wire's. Source: celery.events.state.Task. */
export class TaskState {
  readonly uuid: string;
  state = 'PENDING';
  name: string | null = null;
  args: string | null = null;
  kwargs: string | null = null;
  eta: string | null = null;
  expires: string | null = null;
  retries: number | null = null;
  result: string | null = null;
  exception: string | null = null;
  traceback: string | null = null;
  /** Seconds. */
  runtime: number | null = null;
  exchange: string | null = null;
  routing_key: string | null = null;
  queue: string | null = null;
  root_id: string | null = null;
  parent_id: string | null = null;
  /** When the event of this kind was sent, Unix seconds. */
  sent: number | null = null;
  received: number | null = null;
  started: number | null = null;
  succeeded: number | null = null;
  failed: number | null = null;
  retried: number | null = null;
  revoked: number | null = null;
  rejected: number | null = null;
  /** When the event was sent that the state comes from, Unix seconds. */
  timestamp: number | null = null;
  clock = 0;
  /** Who sent it; known when producers send events. */
  client: string | null = null;
  /** Who ran it last. */
  worker: WorkerState | null = null;
  /** Ids of the tasks it sent, as far as they are known. */
  readonly children: Set<string> = new Set();

  constructor(uuid: string) {
    this.uuid = uuid;
  }

  /** Nothing follows. */
  get ready(): boolean {
    return isReady(this.state);
  }

  /** The worker's id, else the producer's name. */
  get origin(): string | null {
    return this.worker === null ? this.client : this.worker.id;
  }

  /**
   * Takes over one event. One that is logically earlier than what is known adds to it without changing the state.
   * @param subject the event's type without `task-`
   */
  apply(subject: string, event: Readonly<Record<string, unknown>>): void {
    const known = STATE_OF[subject];
    const state = known ?? subject.toUpperCase();
    const timestamp = event['timestamp'] as number;
    const self = this as unknown as Record<string, unknown>;
    if (known !== undefined) self[subject] = timestamp;
    if (state !== 'RETRY' && this.state !== 'RETRY' && precedence(state) > precedence(this.state)) {
      this.#take(event, LATE_FIELDS[state]);
      return;
    }
    this.#take(event);
    this.state = state;
    this.timestamp = timestamp;
  }

  #take(event: Readonly<Record<string, unknown>>, only?: ReadonlySet<string>): void {
    for (const [field, value] of Object.entries(event)) {
      if (OF_THE_EVENT.has(field) || field === 'uuid' || (only !== undefined && !only.has(field))) continue;
      if (Object.hasOwn(this, field) && !RESERVED.has(field))
        (this as unknown as Record<string, unknown>)[field] = value;
    }
  }
}

/** What is computed, not told. */
const RESERVED: ReadonlySet<string> = new Set(['state', 'worker', 'client', 'children']);
