import { taskRequest, type TaskRequest } from '../app/request.ts';
import type { RegisteredTask } from '../app/task.ts';
import type { TaskBody, TaskHeaders } from '../protocol/task-message.ts';
import type { Scheduled } from '../runtime/timers.ts';
import type { Cancellation } from '../runtime/cancellation.ts';
import type { Job } from '../pools/pool.ts';
import type { Delivery, LeaseHolder } from '../transports/transport.ts';
import type { Lane } from './lane.ts';

/** How a running request is being ended from outside. */
export interface Termination {
  readonly signum: number | null;
}

/** Where a request stands: waiting for its time, for a slot, running, or over. */
export type RequestState = 'held' | 'waiting' | 'running' | 'over';

/** One delivery that the worker has accepted, from reservation to settlement. */
export class Request {
  /** Replaced when the connection was lost while the task ran and the message came again. */
  delivery: Delivery;
  readonly headers: TaskHeaders;
  readonly task: RegisteredTask;
  /** Unix time in milliseconds. */
  readonly etaMs: number | undefined;
  readonly expiresMs: number | undefined;
  /** Decoded early only where the body alone says what the message is (protocol 1). */
  body: TaskBody | undefined;
  state: RequestState = 'waiting';
  /** Set when the run begins. */
  view: TaskRequest | undefined;
  cancellation: Cancellation | undefined;
  /** Where it runs, once it does. */
  lane: Lane | undefined;
  job: (Job & LeaseHolder) | undefined;
  /** Process that it runs in. */
  pid: number | undefined;
  /** Unix time in milliseconds at which the run began. */
  startedMs: number | undefined;
  acknowledged = false;
  /** Somebody else has its message by now: nothing of this run may be stored or settled. */
  leaseLost = false;
  termination: Termination | undefined;
  /** Told when its code is over, where somebody waits for that. */
  onRunEnded: (() => void) | undefined;
  /** Why the worker cut it short. */
  cancelled: Error | undefined;
  /** `clock.monotonic()` since when it waits for a slot. */
  waitingSinceMs: number | undefined;
  /** The timer that lets a held request go. */
  timer: Scheduled | undefined;
  softTimer: Scheduled | undefined;
  hardTimer: Scheduled | undefined;

  constructor(
    delivery: Delivery,
    headers: TaskHeaders,
    task: RegisteredTask,
    times: { readonly etaMs: number | undefined; readonly expiresMs: number | undefined },
    body?: TaskBody,
  ) {
    this.delivery = delivery;
    this.headers = headers;
    this.task = task;
    this.etaMs = times.etaMs;
    this.expiresMs = times.expiresMs;
    this.body = body;
  }

  get id(): string {
    return this.headers.id;
  }

  /** Name for logs, events and statistics. */
  get displayName(): string {
    return this.headers.shadow ?? this.headers.task;
  }

  /** Results are not wanted: the caller's word over the task's. */
  get ignoresResult(): boolean {
    return this.headers.ignore_result ?? this.task.options.ignoreResult;
  }

  /** Failures are stored although results are not. */
  get storesErrors(): boolean {
    return !this.ignoresResult || this.task.options.storeErrorsEvenIfIgnored;
  }

  get late(): boolean {
    return this.task.options.acksLate;
  }

  cancelTimers(): void {
    this.timer?.cancel();
    this.softTimer?.cancel();
    this.hardTimer?.cancel();
  }
}

const NO_BODY: TaskBody = {
  args: [],
  kwargs: {},
  embed: { callbacks: null, errbacks: null, chain: null, chord: null },
};

/** What the task and everything that follows it see of a message; without a body where it cannot be read. */
export function viewOf(
  delivery: Delivery,
  headers: TaskHeaders,
  body: TaskBody | undefined,
  hostname: string,
): TaskRequest {
  const { properties } = delivery.message;
  return taskRequest(headers, body ?? NO_BODY, {
    deliveryInfo: {
      exchange: delivery.exchange,
      routingKey: delivery.routingKey,
      priority: properties.priority ?? null,
      redelivered: delivery.redelivered,
    },
    replyTo: properties.replyTo ?? null,
    correlationId: properties.correlationId ?? null,
    properties,
    hostname,
  });
}
