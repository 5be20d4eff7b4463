import { ImproperlyConfigured } from '../errors.ts';
import { exchange, queue, type Arguments, type ExchangeType, type Queue } from '../messaging/entity.ts';

/** A queue as an entry of the object form of `taskQueues`; keys may be written in snake_case. */
export interface QueueDefinition {
  /** Name of the exchange. @default the default exchange, whose type is its own */
  readonly exchange?: string;
  readonly exchangeType?: ExchangeType;
  /** @default the queue's name */
  readonly routingKey?: string;
  /** Older name of `routingKey`. */
  readonly bindingKey?: string;
  /** Of queue and exchange. @default true */
  readonly durable?: boolean;
  readonly exclusive?: boolean;
  readonly autoDelete?: boolean;
  readonly noAck?: boolean;
  readonly deliveryMode?: 1 | 2;
  readonly queueArguments?: Arguments;
  readonly exchangeArguments?: Arguments;
  readonly maxPriority?: number;
  readonly alias?: string;
}

/** Setting `taskQueues`: queues, names of queues, or definitions by name. */
export type TaskQueues = readonly (Queue | string)[] | Readonly<Record<string, QueueDefinition | Queue>>;

const KEYS: readonly (keyof QueueDefinition)[] = [
  'exchange',
  'exchangeType',
  'routingKey',
  'bindingKey',
  'durable',
  'exclusive',
  'autoDelete',
  'noAck',
  'deliveryMode',
  'queueArguments',
  'exchangeArguments',
  'maxPriority',
  'alias',
];

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const isQueue = (value: unknown): value is Queue =>
  isObject(value) && value['kind'] === 'queue' && typeof value['name'] === 'string';

function camelKeys(name: string, definition: Readonly<Record<string, unknown>>): QueueDefinition {
  const entries = Object.entries(definition).map(([key, value]) => {
    const camel = key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (!(KEYS as readonly string[]).includes(camel)) {
      throw new ImproperlyConfigured(
        `setting "taskQueues": queue "${name}" has the unknown key "${key}": expected ${KEYS.join(', ')}`,
      );
    }
    return [camel, value] as const;
  });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined && value !== null));
}

/** Source: `Queue.from_dict` of kombu.entity. */
export function queueFromDefinition(name: string, definition: QueueDefinition): Queue {
  const { durable = true, autoDelete = false, exclusive = false } = definition;
  return queue(name, {
    ...(definition.exchange
      ? {
          exchange: exchange(definition.exchange, {
            type: definition.exchangeType ?? 'direct',
            durable,
            autoDelete,
            ...(definition.deliveryMode && { deliveryMode: definition.deliveryMode }),
            ...(definition.exchangeArguments && { arguments: definition.exchangeArguments }),
          }),
        }
      : {}),
    routingKey: definition.bindingKey ?? definition.routingKey ?? name,
    durable,
    autoDelete,
    exclusive,
    ...(definition.noAck !== undefined && { noAck: definition.noAck }),
    ...(definition.queueArguments && { arguments: definition.queueArguments }),
    ...(definition.maxPriority !== undefined && { maxPriority: definition.maxPriority }),
    ...(definition.alias !== undefined && { alias: definition.alias }),
  });
}

/**
 * The queues of `taskQueues` in their order, as they were written: defaults are the table's business.
 * @throws {ImproperlyConfigured} when an entry is neither a queue nor the definition of one
 */
export function readQueues(queues: TaskQueues): Queue[] {
  const entries: (readonly [string | undefined, unknown])[] = Array.isArray(queues)
    ? (queues as unknown[]).map((one) => [undefined, one] as const)
    : Object.entries(queues);
  return entries.map(([name, one]) => {
    if (isQueue(one)) return one;
    if (typeof one === 'string' && name === undefined) return queueFromDefinition(one, { exchange: one });
    if (isObject(one) && name !== undefined) return queueFromDefinition(name, camelKeys(name, one));
    throw new ImproperlyConfigured(
      `setting "taskQueues": expected queue(name, …), a name, or { name: definition }, got ${JSON.stringify(one)}`,
    );
  });
}

/** @throws {ImproperlyConfigured} when the value is nothing that `readQueues` understands */
export function checkQueues(value: unknown): TaskQueues | undefined {
  if (!Array.isArray(value) && !isObject(value)) return undefined;
  readQueues(value as TaskQueues);
  return value as TaskQueues;
}
