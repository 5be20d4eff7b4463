import type { Options } from 'amqplib';
import { ChannelError, TopologyConflictError } from '../../errors.ts';
import type { Binding, Entity, Exchange, Queue } from '../../messaging/entity.ts';
import { replyCode, replyText } from './errors.ts';
import type { Lane } from './lane.ts';
import { toTable } from './values.ts';

/*
 * Declarations as kombu makes them: the exchange, the queue, its bindings. The broker takes the same one again and
 * refuses a different one, so what is sent has to be equal to Python's to the last argument.
 */

/** @throws {ChannelError} when it exists with other properties, or (`passive`) does not exist */
export async function declare(lane: Lane, entity: Entity): Promise<void> {
  if (entity.kind === 'exchange') return declareExchange(lane, entity);
  if (entity.kind === 'binding') return bind(lane, entity);
  if (entity.exchange !== undefined) await declareExchange(lane, entity.exchange);
  await declareQueue(lane, entity);
  const { name, exchange, routingKey, bindingArguments } = entity;
  if (exchange !== undefined && exchange.name !== '') {
    await bind(lane, {
      kind: 'binding',
      queue: name,
      exchange: exchange.name,
      routingKey,
      arguments: bindingArguments,
    });
  }
  for (const binding of entity.bindings ?? []) {
    if (binding.declares !== undefined) await declareExchange(lane, binding.declares);
    await bind(lane, binding);
  }
}

async function declareExchange(lane: Lane, exchange: Exchange): Promise<void> {
  const { name, type, durable, autoDelete, passive } = exchange;
  // The broker's own exchanges may not be declared.
  if (name === '' || name.startsWith('amq.')) return;
  const table = exchange.arguments ?? {};
  const declared: Options.AssertExchange = { durable, autoDelete, arguments: toTable(table, 'arguments') };
  await refusable(`exchange "${name}"`, { type, durable, autoDelete, arguments: table }, () =>
    lane.ask(`declaring the exchange "${name}"`, (raw) =>
      passive === true ? raw.checkExchange(name) : raw.assertExchange(name, type, declared),
    ),
  );
}

async function declareQueue(lane: Lane, queue: Queue): Promise<void> {
  const { name, durable, exclusive } = queue;
  const autoDelete = queue.autoDelete || exclusive;
  const table = queueArguments(queue);
  const declared: Options.AssertQueue = { durable, exclusive, autoDelete, arguments: toTable(table, 'arguments') };
  await refusable(`queue "${name}"`, { durable, exclusive, autoDelete, arguments: table }, () =>
    lane.ask(`declaring the queue "${name}"`, (raw) =>
      queue.passive === true ? raw.checkQueue(name) : raw.assertQueue(name, declared),
    ),
  );
}

/** Source: `to_rabbitmq_queue_arguments` of kombu.utils.amq_manager: own attributes win over `arguments`. */
export function queueArguments(queue: Queue): Record<string, unknown> {
  const { expiresMs, messageTtlMs, maxLength, maxLengthBytes, maxPriority } = queue;
  const own = {
    'x-expires': expiresMs === undefined ? undefined : Math.trunc(expiresMs),
    'x-message-ttl': messageTtlMs === undefined ? undefined : Math.trunc(messageTtlMs),
    'x-max-length': maxLength,
    'x-max-length-bytes': maxLengthBytes,
    'x-max-priority': maxPriority,
  };
  return {
    ...queue.arguments,
    ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)),
  };
}

async function bind(lane: Lane, { queue, exchange, routingKey, arguments: table }: Binding): Promise<void> {
  await lane.ask(`binding the queue "${queue}" to the exchange "${exchange}"`, (raw) =>
    raw.bindQueue(queue, exchange, routingKey, toTable(table ?? {}, 'arguments')),
  );
}

/** The broker's complaint names one property and what it has; ours names all that was asked for. */
async function refusable<T>(
  what: string,
  asked: Readonly<Record<string, unknown>>,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const cause = error instanceof ChannelError ? error.cause : undefined;
    const code = replyCode(cause);
    if (code === 406) throw new TopologyConflictError(what, asked, replyText(cause), { cause });
    throw error;
  }
}
