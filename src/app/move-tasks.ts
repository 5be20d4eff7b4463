import { UsageError } from '../errors.ts';
import { Links } from '../messaging/link.ts';
import { moveMessages } from '../messaging/move.ts';
import type { Message } from '../protocol/message.ts';
import type { Delivery } from '../transports/transport.ts';
import type { Celery } from './celery.ts';

/** A task that waits in a queue. */
export interface WaitingTask {
  /** Task id. */
  readonly id: string;
  /** Task name. */
  readonly name: string;
  /** The queue it waits in. */
  readonly queue: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface MoveTasksOptions {
  /** Where they go: the name of a queue, or a function that says which; undefined leaves the task where it is. */
  readonly to: string | ((task: WaitingTask) => string | undefined);
  /** Queues to look into. @default those that the app consumes */
  readonly queues?: readonly string[] | undefined;
  /** Only these task ids. */
  readonly ids?: readonly string[] | undefined;
  /** Only these tasks, by name. */
  readonly tasks?: readonly string[] | undefined;
  /** An app on another broker. @default the same */
  readonly destination?: Celery | undefined;
  /** Leaves them where they were, too. @default false */
  readonly copy?: boolean | undefined;
  /** Most of them. */
  readonly limit?: number | undefined;
  /** Called for each that has arrived. */
  readonly onMoved?: ((task: WaitingTask, to: string) => void) | undefined;
  /** Ends between two messages. */
  readonly signal?: AbortSignal | undefined;
}

export interface MovedTasks {
  readonly moved: number;
  /** Looked at and left where they were. */
  readonly left: number;
}

const CONNECT_MS = 10_000;

/** Source: `move`, `move_task_by_id`, `move_by_idmap` and `move_by_taskmap` of celery.contrib.migrate. */
export async function moveTasks(app: Celery, options: MoveTasksOptions): Promise<MovedTasks> {
  const target = options.destination ?? app;
  const sources = options.queues?.map((name) => app.queues.get(name)) ?? app.queues.consumed;
  const declared = new Set<string>();
  const places = new WeakMap<Delivery, string>();
  const from = linksTo(app);
  const into = linksTo(target);
  let moved = 0;
  let left = 0;
  try {
    const { channel: source } = await from.open();
    const { channel: destination } = await into.open();
    for (const one of sources) {
      // What arrives in a queue because of this call is not looked at again.
      const limit = Math.min((options.limit ?? Infinity) - moved, await source.size(one.name));
      if (limit <= 0 || options.signal?.aborted) continue;
      const round = await moveMessages({
        source,
        destination,
        queues: [one],
        limit,
        signal: options.signal,
        acknowledge: !options.copy,
        select: (message, delivery) => {
          const place = placeOf(waiting(message, one.name), options, target === app);
          if (place !== undefined) places.set(delivery, place);
          return place !== undefined;
        },
        readdress: async (delivery) => {
          const to = places.get(delivery) as string;
          if (!declared.has(to)) await destination.declare(target.queues.get(to));
          declared.add(to);
          return { message: delivery.message, to: { exchange: '', routingKey: to } };
        },
        onMoved: ({ delivery }) =>
          options.onMoved?.(waiting(delivery.message, one.name), places.get(delivery) as string),
      });
      moved += round.moved;
      left += round.left;
    }
  } finally {
    const over = new UsageError('the tasks were moved');
    await Promise.all([from.close(over), into.close(over)]);
  }
  return { moved, left };
}

/** Where a message goes; undefined: it stays. */
function placeOf(task: WaitingTask, options: MoveTasksOptions, sameBroker: boolean): string | undefined {
  const { to, ids, tasks } = options;
  if (ids !== undefined && !ids.includes(task.id)) return undefined;
  if (tasks !== undefined && !tasks.includes(task.name)) return undefined;
  const place = typeof to === 'string' ? to : to(task);
  return sameBroker && place === task.queue ? undefined : place;
}

function waiting({ headers }: Message, queue: string): WaitingTask {
  return { id: textOf(headers['id']), name: textOf(headers['task']), queue, headers };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function linksTo(app: Celery): Links {
  return new Links({ clock: app.clock, transport: () => app.transport(), connectTimeoutMs: CONNECT_MS });
}
