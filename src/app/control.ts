import { ChannelError, UsageError } from '../errors.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { withDeadline } from '../runtime/clock.ts';
import { Broadcaster, type BroadcastOptions, type NodeReply } from './broadcast.ts';
import type { Celery } from './celery.ts';
import { Inspect, type InspectOptions } from './inspect.ts';

/** What workers answered to a command: their node names and `{ ok: text }` or `{ error: text }`. */
export type ControlReplies = readonly NodeReply[];

/** `signal` is the operating system's here, as in Celery. */
export interface TerminateOptions extends Omit<BroadcastOptions, 'signal'> {
  /** Also end a run that has begun. @default false */
  readonly terminate?: boolean | undefined;
  /** What the child process that runs it is sent. @default 'SIGTERM' */
  readonly signal?: string | undefined;
}

export interface AddConsumerOptions extends BroadcastOptions {
  readonly exchange?: string | undefined;
  readonly exchangeType?: string | undefined;
  readonly routingKey?: string | undefined;
  /** Other options of the queue, under their names on the wire. */
  readonly queueOptions?: Readonly<Record<string, unknown>> | undefined;
}

const PURGE_TIMEOUT_MS = 30_000;

function seconds(duration: Duration | null | undefined): number | null {
  return duration === undefined || duration === null ? null : durationMs(duration) / 1000;
}

function list(ids: string | readonly string[]): string | readonly string[] {
  if (typeof ids !== 'string' && ids.some((id) => typeof id !== 'string')) {
    throw new UsageError('expected task ids as text; pass `result.id`, not the handle');
  }
  return ids;
}

/**
 * Steers the workers on the app's broker. Commands are sent and not waited for unless `reply: true` is given;
 * then they resolve to the answers of those workers that gave one in time.
 *
 * Every method rejects with `OperationalError` when the broker is out of reach.
 * Source: `celery.app.control.Control`.
 */
export class Control {
  readonly #app: Celery;
  readonly #broadcaster: Broadcaster;

  constructor(app: Celery) {
    this.#app = app;
    this.#broadcaster = new Broadcaster(app);
  }

  /** Any command by its name on the wire, also one that this version does not know. */
  broadcast(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    options: BroadcastOptions = {},
  ): Promise<ControlReplies> {
    return this.#broadcaster.send(command, args, options);
  }

  /** Asks workers about themselves: `control.inspect({ timeout: '2s' }).active()`. */
  inspect(options: InspectOptions = {}): Inspect {
    return new Inspect(this.#broadcaster, options, this.#app.log);
  }

  /** Who is there. */
  ping(options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('ping', {}, { ...options, reply: true });
  }

  /** Tells workers to skip these tasks; `terminate` also ends those that run. */
  revoke(ids: string | readonly string[], options: TerminateOptions = {}): Promise<ControlReplies> {
    const { terminate = false, signal = 'SIGTERM', ...rest } = options;
    return this.broadcast('revoke', { task_id: list(ids), terminate, signal }, rest);
  }

  /** The same as `revoke` with `terminate: true`. */
  terminate(
    ids: string | readonly string[],
    options: Omit<TerminateOptions, 'terminate'> = {},
  ): Promise<ControlReplies> {
    return this.revoke(ids, { ...options, terminate: true });
  }

  /** Skips every task that carries one of these stamps. */
  revokeByStamp(
    stamps: Readonly<Record<string, string | readonly string[]>>,
    options: TerminateOptions = {},
  ): Promise<ControlReplies> {
    const { terminate = false, signal = 'SIGTERM', ...rest } = options;
    return this.broadcast('revoke_by_stamped_headers', { headers: stamps, terminate, signal }, rest);
  }

  /** `'10/m'`, a number per second, or null for no limit; for each worker by itself. */
  rateLimit(task: string, limit: string | number | null, options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('rate_limit', { task_name: task, rate_limit: limit }, options);
  }

  /** Time limits for runs that begin from now on; what is left out is unlimited. */
  timeLimit(
    task: string,
    limits: { readonly soft?: Duration | null; readonly hard?: Duration | null },
    options: BroadcastOptions = {},
  ): Promise<ControlReplies> {
    return this.broadcast(
      'time_limit',
      { task_name: task, hard: seconds(limits.hard), soft: seconds(limits.soft) },
      options,
    );
  }

  /** Makes workers consume from a queue; one that their settings do not know is declared as described here. */
  addConsumer(queue: string, options: AddConsumerOptions = {}): Promise<ControlReplies> {
    const { exchange, exchangeType, routingKey, queueOptions } = options;
    return this.broadcast(
      'add_consumer',
      {
        queue,
        exchange: exchange ?? null,
        exchange_type: exchangeType ?? 'direct',
        routing_key: routingKey ?? null,
        ...queueOptions,
      },
      options,
    );
  }

  cancelConsumer(queue: string, options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('cancel_consumer', { queue }, options);
  }

  /** Makes workers report what their tasks do. */
  enableEvents(options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('enable_events', {}, options);
  }

  disableEvents(options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('disable_events', {}, options);
  }

  /** Warm shutdown. A worker does not answer it: look with `ping` who is left. */
  shutdown(options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('shutdown', {}, options);
  }

  poolGrow(n = 1, options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('pool_grow', { n }, options);
  }

  poolShrink(n = 1, options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('pool_shrink', { n }, options);
  }

  autoscale(max: number, min: number, options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('autoscale', { max, min }, options);
  }

  poolRestart(options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('pool_restart', { modules: null, reload: false, reloader: null }, options);
  }

  /** Makes workers send a heartbeat event now, so that a new monitor sees them. */
  heartbeat(options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('heartbeat', {}, options);
  }

  /** Lets the workers choose one among them that runs `action`. */
  election(id: string, topic: string, action: unknown = null, options: BroadcastOptions = {}): Promise<ControlReplies> {
    return this.broadcast('election', { id, topic, action }, options);
  }

  /**
   * Drops every task message that waits; what workers have reserved stays.
   * @param options.queues names; default: all that the settings list
   * @returns how many were dropped
   */
  async purge(options: { readonly queues?: readonly string[] | undefined } = {}): Promise<number> {
    const { clock, queues } = this.#app;
    const names = options.queues ?? queues.consumed.map((queue) => queue.name);
    return withDeadline(
      clock,
      PURGE_TIMEOUT_MS,
      this.#purge(names),
      () => new UsageError(`purging ${names.join(', ')} took longer than ${PURGE_TIMEOUT_MS / 1000} s`),
    );
  }

  async #purge(names: readonly string[]): Promise<number> {
    const transport = await this.#app.transport();
    const connection = await transport.connect();
    try {
      let dropped = 0;
      for (const name of names) dropped += await purgeQueue(await connection.channel(), name);
      return dropped;
    } finally {
      await connection.close();
    }
  }
}

/** A queue that does not exist has nothing to drop; the error ends its channel, so each queue has its own. */
async function purgeQueue(
  channel: { purge(queue: string): Promise<number>; close(): Promise<void> },
  name: string,
): Promise<number> {
  try {
    return await channel.purge(name);
  } catch (error) {
    if (error instanceof ChannelError) return 0;
    throw error;
  } finally {
    await channel.close();
  }
}
