import { nodeMatches } from './node-match.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Broadcaster, BroadcastOptions, Listening, NodeReply, Target } from './broadcast.ts';

/*
 * What workers tell about themselves. The keys are the wire's own (snake_case), because Python workers send the same.
 * Shapes: remote-control.md A5 to A9.
 */

/** A task that a worker has received. */
export interface TaskInfo {
  readonly id: string;
  /** Shadow name where there is one. */
  readonly name: string;
  readonly type: string;
  readonly args: unknown;
  readonly kwargs: unknown;
  readonly hostname: string;
  /** Unix time in seconds; null: not started. */
  readonly time_start: number | null;
  readonly acknowledged: boolean;
  readonly delivery_info: {
    readonly exchange: string;
    readonly routing_key: string;
    readonly priority: number | null;
    readonly redelivered: boolean | null;
  };
  readonly worker_pid: number | null;
}

/** A task that waits for its time. */
export interface ScheduledTask {
  /** ISO 8601 */
  readonly eta: string | null;
  readonly priority: number;
  readonly request: TaskInfo;
}

/** A queue that a worker consumes from; further keys hold its other properties. */
export interface ActiveQueue {
  readonly name: string;
  readonly routing_key: string;
  readonly durable: boolean;
  readonly exchange: Readonly<Record<string, unknown>> | null;
  readonly [key: string]: unknown;
}

/** Counters and properties of a worker. */
export interface WorkerStats {
  /** Tasks accepted so far, by name. */
  readonly total: Readonly<Record<string, number>>;
  readonly pid: number;
  readonly clock: string;
  /** Seconds. */
  readonly uptime: number;
  readonly pool: Readonly<Record<string, unknown>>;
  readonly broker: Readonly<Record<string, unknown>>;
  readonly prefetch_count: number | 'N/A';
  readonly rusage: Readonly<Record<string, number>> | 'N/A';
  readonly [key: string]: unknown;
}

export type InspectOptions = Target & Listening & Pick<BroadcastOptions, 'onReply'>;

/**
 * Answers by node name; empty when nobody answered. A node that could not do it has `{ error: text }` in place of
 * its answer: `isControlError` tells.
 * Differs: Celery's is None when nobody answered; an empty object can be iterated as it is.
 */
export type Answers<T> = Readonly<Record<string, T>>;

/** What a worker answers when the command failed there. */
export interface ControlError {
  readonly error: string;
}

export function isControlError(value: unknown): value is ControlError {
  return typeof value === 'object' && value !== null && typeof (value as ControlError).error === 'string';
}

/** Asks workers about themselves. One object may be used for any number of questions. */
export class Inspect {
  readonly #broadcaster: Broadcaster;
  readonly #options: InspectOptions;
  readonly #log: Logger;

  constructor(broadcaster: Broadcaster, options: InspectOptions, log: Logger) {
    this.#broadcaster = broadcaster;
    this.#options = options;
    this.#log = log;
  }

  /** Any inspect command by its name on the wire, also one that this version does not know. */
  async ask<T = unknown>(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<Answers<T>> {
    const replies = await this.#broadcaster.send(command, args, { ...this.#options, reply: true });
    return this.#byNode<T>(replies);
  }

  ping(): Promise<Answers<{ readonly ok: string }>> {
    return this.ask('ping');
  }

  /** Running tasks. @param options.safe arguments as text instead of values */
  active(options: { readonly safe?: boolean } = {}): Promise<Answers<readonly TaskInfo[]>> {
    return this.ask('active', { safe: options.safe ?? null });
  }

  /** Tasks that a worker holds and has not started. */
  reserved(): Promise<Answers<readonly TaskInfo[]>> {
    return this.ask('reserved');
  }

  /** Tasks held until their time has come. */
  scheduled(): Promise<Answers<readonly ScheduledTask[]>> {
    return this.ask('scheduled');
  }

  /** Ids, the oldest first. */
  revoked(): Promise<Answers<readonly string[]>> {
    return this.ask('revoked');
  }

  /** Names of the tasks a worker can run; `attributes` such as `rate_limit` are added in brackets. */
  registered(...attributes: string[]): Promise<Answers<readonly string[]>> {
    return this.ask('registered', { taskinfoitems: attributes });
  }

  stats(): Promise<Answers<WorkerStats>> {
    return this.ask('stats');
  }

  activeQueues(): Promise<Answers<readonly ActiveQueue[]>> {
    return this.ask('active_queues');
  }

  /** Settings, secrets masked. @param options.withDefaults also those that nobody set */
  conf(options: { readonly withDefaults?: boolean } = {}): Promise<Answers<Readonly<Record<string, unknown>>>> {
    return this.ask('conf', { with_defaults: options.withDefaults ?? false });
  }

  /** Bug report text. */
  report(): Promise<Answers<{ readonly ok: string }>> {
    return this.ask('report');
  }

  clock(): Promise<Answers<{ readonly clock: number }>> {
    return this.ask('clock');
  }

  /** Where tasks are: id to `['active' | 'reserved' | 'ready', info]`; unknown ids are absent. */
  queryTask(...ids: string[]): Promise<Answers<Readonly<Record<string, readonly [string, TaskInfo]>>>> {
    return this.ask('query_task', { ids });
  }

  memsample(): Promise<Answers<string | null>> {
    return this.ask('memsample');
  }

  memdump(samples = 10): Promise<Answers<unknown>> {
    return this.ask('memdump', { samples });
  }

  objgraph(type = 'Request', n = 200, maxDepth = 10): Promise<Answers<unknown>> {
    return this.ask('objgraph', { num: n, max_depth: maxDepth, type });
  }

  #byNode<T>(replies: readonly NodeReply[]): Answers<T> {
    const { destination, pattern, matcher } = this.#options;
    // Workers apply the pattern themselves; older ones ignore it.
    const filter = pattern !== undefined && (destination === undefined || destination.length === 0);
    const answers: Record<string, T> = Object.create(null) as Record<string, T>;
    for (const { node, value } of replies) {
      if (filter && !nodeMatches(node, pattern, matcher ?? 'glob')) continue;
      if (node in answers) {
        this.#log.warn({ node }, 'two workers have the same node name: start each with its own -n name');
      }
      answers[node] = value as T;
    }
    return answers;
  }
}
