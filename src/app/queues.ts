import { ImproperlyConfigured } from '../errors.ts';
import { exchange, queue, type Exchange, type Queue } from '../messaging/entity.ts';
import { isQueue, readQueues } from './queue-definitions.ts';
import type { RouteOptions } from './router.ts';
import type { Config } from './settings.ts';

type QueueSettings = Pick<
  Config,
  | 'taskQueues'
  | 'taskDefaultQueue'
  | 'taskDefaultQueueType'
  | 'taskDefaultExchange'
  | 'taskDefaultExchangeType'
  | 'taskDefaultRoutingKey'
  | 'taskDefaultDeliveryMode'
  | 'taskCreateMissingQueues'
  | 'taskCreateMissingQueueType'
  | 'taskCreateMissingQueueExchangeType'
  | 'taskQueueMaxPriority'
>;

const QUORUM = { 'x-queue-type': 'quorum' } as const;

/** Where a message goes, and what must exist before. */
export interface TaskDestination {
  readonly exchange: string;
  readonly routingKey: string;
  readonly deliveryMode: 1 | 2;
  /** To declare first; undefined where only exchange and key are known. */
  readonly queue: Queue | undefined;
}

/**
 * The queues an app knows by name, and those of them a worker consumes.
 * Source: `Queues` of celery.app.amqp. Differs: a queue created because a message was sent to it is not consumed by
 * a worker of the same app unless it is selected.
 */
export class QueueTable {
  readonly #config: QueueSettings;
  readonly #queues = new Map<string, Queue>();
  /** Counts up whenever a queue is added. */
  revision = 0;
  readonly #aliases = new Map<string, Queue>();
  readonly #consumed = new Map<string, Queue>();

  /** @throws {ImproperlyConfigured} for definitions in `taskQueues` that are none */
  constructor(config: QueueSettings) {
    this.#config = config;
    const configured = config.taskQueues === null ? [] : readQueues(config.taskQueues);
    if (configured.length === 0) configured.push(this.#defaultQueue());
    for (const one of configured) this.selectAdd(one);
  }

  /** Where messages without a queue of their own go. */
  get default(): Queue {
    return this.get(this.#config.taskDefaultQueue);
  }

  /** What a worker consumes, in the order of definition or selection. */
  get consumed(): readonly Queue[] {
    return [...this.#consumed.values()];
  }

  /** Every queue known so far. */
  get all(): readonly Queue[] {
    return [...this.#queues.values()];
  }

  /** Whether a quorum queue is known, or unknown ones become such. Source: `detect_quorum_queues` of celery.utils. */
  get quorum(): boolean {
    if (this.#config.taskCreateMissingQueueType === 'quorum') return true;
    return this.all.some((one) => one.arguments?.['x-queue-type'] === 'quorum');
  }

  /** Whether the name or alias is known; creates nothing. */
  has(name: string): boolean {
    return this.#aliases.has(name) || this.#queues.has(name);
  }

  /**
   * The queue of that name or alias; an unknown one is created where `taskCreateMissingQueues` allows it.
   * @throws {ImproperlyConfigured} when it does not (Celery's QueueNotFound)
   */
  get(name: string): Queue {
    return this.#aliases.get(name) ?? this.#queues.get(name) ?? this.#create(name);
  }

  /** Makes a queue known, with the defaults of the settings for what it leaves open. It is not consumed yet. */
  add(given: Queue): Queue {
    this.revision++;
    const completed = this.#complete(given);
    this.#queues.set(completed.name, completed);
    if (completed.alias !== undefined) this.#aliases.set(completed.alias, completed);
    return completed;
  }

  /** Consumes one more queue, whatever was selected before. */
  selectAdd(given: Queue | string): Queue {
    const found = typeof given === 'string' ? this.get(given) : this.add(given);
    this.#consumed.set(found.name, found);
    return found;
  }

  /** Consumes these and no others (`-Q`); names or aliases, unknown ones are created. An empty list changes nothing. */
  select(names: readonly string[]): void {
    if (names.length === 0) return;
    const chosen = names.map((name) => this.get(name));
    this.#consumed.clear();
    for (const one of chosen) this.#consumed.set(one.name, one);
  }

  /** Consumes these no longer (`-X`); names or aliases, unknown ones are ignored. */
  deselect(names: readonly string[]): void {
    for (const name of names) this.#consumed.delete(this.#aliases.get(name)?.name ?? name);
  }

  #defaultExchange(): Exchange {
    const { taskDefaultExchange, taskDefaultQueue, taskDefaultExchangeType: type } = this.#config;
    return exchange(taskDefaultExchange ?? taskDefaultQueue, { type });
  }

  #defaultRoutingKey(): string {
    return this.#config.taskDefaultRoutingKey ?? this.#config.taskDefaultQueue;
  }

  /** The one queue of an app that configures none. */
  #defaultQueue(): Queue {
    const { taskDefaultQueue: name, taskDefaultQueueType } = this.#config;
    const routingKey = this.#defaultRoutingKey();
    return queue(name, { routingKey, ...(taskDefaultQueueType === 'quorum' && { arguments: QUORUM }) });
  }

  #create(name: string): Queue {
    const config = this.#config;
    if (!config.taskCreateMissingQueues) {
      throw new ImproperlyConfigured(
        `queue "${name}" is not in taskQueues (known: ${[...this.#queues.keys()].join(', ')}) and taskCreateMissingQueues is off`,
      );
    }
    return this.add(
      queue(name, {
        exchange: exchange(name, { type: config.taskCreateMissingQueueExchangeType ?? 'direct' }),
        ...(config.taskCreateMissingQueueType === 'quorum' && { arguments: QUORUM }),
      }),
    );
  }

  #complete(given: Queue): Queue {
    const maxPriority = this.#config.taskQueueMaxPriority;
    const ranked = given.maxPriority !== undefined || given.arguments?.['x-max-priority'] !== undefined;
    // Differs: a quorum queue is left alone, because brokers refuse `x-max-priority` on it.
    const rank = maxPriority !== null && !ranked && given.arguments?.['x-queue-type'] !== 'quorum';
    return Object.freeze({
      ...given,
      exchange: given.exchange === undefined || given.exchange.name === '' ? this.#defaultExchange() : given.exchange,
      routingKey: given.routingKey === '' ? this.#defaultRoutingKey() : given.routingKey,
      ...(rank && { maxPriority }),
    });
  }

  /**
   * The address of a routed call. A direct queue is reached through the default exchange by its name unless both
   * exchange and routing key are given.
   * @throws {ImproperlyConfigured} for a queue that is unknown and may not be created
   *
   * Source: `send_task_message` of celery.app.amqp. Differs: a route that names an exchange and neither queue nor key
   * reaches that exchange (fanout needs no key); in Celery such a message reaches nobody.
   */
  destinationOf(options: RouteOptions): TaskDestination {
    const { exchange: exchangeName, routingKey } = options;
    const target = this.#target(options);
    const type = target?.exchange?.type ?? 'direct';
    const deliveryMode =
      modeOf(options.deliveryMode) ?? target?.exchange?.deliveryMode ?? this.#config.taskDefaultDeliveryMode;
    if (type === 'direct' && target !== undefined && (!exchangeName || !routingKey)) {
      return { exchange: '', routingKey: target.name, deliveryMode, queue: target };
    }
    return {
      exchange: exchangeName ?? target?.exchange?.name ?? this.#defaultExchange().name,
      routingKey: routingKey ?? (exchangeName ? '' : target?.routingKey || this.#defaultRoutingKey()),
      deliveryMode,
      queue: target,
    };
  }

  #target({ queue: given, exchange: exchangeName }: RouteOptions): Queue | undefined {
    if (isQueue(given)) return this.#complete(given);
    if (typeof given === 'string' && given !== '') return this.get(given);
    return given === null && exchangeName ? undefined : this.default;
  }
}

function modeOf(mode: RouteOptions['deliveryMode']): 1 | 2 | undefined {
  if (mode === undefined) return undefined;
  return mode === 1 || mode === 'transient' ? 1 : 2;
}

/** The queue that reaches one worker alone (setting `workerDirect`): `celery@host.dq2` on the exchange `C.dq2`. */
export function workerDirect(node: string): Queue {
  return queue(`${node}.dq2`, { exchange: exchange('C.dq2'), routingKey: node });
}
