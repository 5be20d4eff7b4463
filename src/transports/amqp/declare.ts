import type { Options } from 'amqplib';
import { ChannelError, OperationalError, TopologyConflictError } from '../../errors.ts';
import type { Binding, Entity, Exchange, Queue } from '../../messaging/entity.ts';
import { replyCode, replyText } from './errors.ts';
import type { Lane } from './lane.ts';
import type { DeclareMode } from './options.ts';
import { toTable } from './values.ts';

/*
 * Declarations as kombu makes them: the exchange, the queue, its bindings. The broker takes the same one again and
 * refuses a different one, so what is sent has to be equal to Python's to the last argument.
 */

/**
 * @param mode other than `create`: what outlives connections and restarts was made by somebody else
 * @throws {ChannelError} when it exists with other properties, or (`passive`) does not exist
 */
export async function declare(lane: Lane, entity: Entity, mode: DeclareMode = 'create'): Promise<void> {
  if (entity.kind === 'exchange') return declareExchange(lane, entity, mode);
  if (entity.kind === 'binding') return mode === 'never' ? undefined : bind(lane, entity);
  if (entity.exchange !== undefined) await declareExchange(lane, entity.exchange, mode);
  await declareQueue(lane, entity, mode);
  if (mode === 'never' && lasts(entity)) return;
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
    if (binding.declares !== undefined) await declareExchange(lane, binding.declares, mode);
    await bind(lane, binding);
  }
}

/** Neither a connection's end nor a restart of the broker takes it away: it can be made beforehand. */
function lasts({ durable, autoDelete, ...rest }: Exchange | Queue): boolean {
  return durable && !autoDelete && (rest.kind === 'exchange' || (!rest.exclusive && rest.expiresMs === undefined));
}

async function declareExchange(lane: Lane, exchange: Exchange, mode: DeclareMode): Promise<void> {
  const { name, type, durable, autoDelete, passive } = exchange;
  // The broker's own exchanges may not be declared.
  if (name === '' || name.startsWith('amq.')) return;
  if (mode === 'never' && lasts(exchange)) return;
  const looks = passive === true || (mode === 'passive' && lasts(exchange));
  const table = exchange.arguments ?? {};
  const declared: Options.AssertExchange = { durable, autoDelete, arguments: toTable(table, 'arguments') };
  await refusable(`exchange "${name}"`, { type, durable, autoDelete, arguments: table }, looks, () =>
    lane.ask(`declaring the exchange "${name}"`, (raw) =>
      looks ? raw.checkExchange(name) : raw.assertExchange(name, type, declared),
    ),
  );
}

async function declareQueue(lane: Lane, queue: Queue, mode: DeclareMode): Promise<void> {
  const { name, durable, exclusive } = queue;
  if (mode === 'never' && lasts(queue)) return;
  const looks = queue.passive === true || (mode === 'passive' && lasts(queue));
  const autoDelete = queue.autoDelete || exclusive;
  const table = queueArguments(queue);
  const declared: Options.AssertQueue = { durable, exclusive, autoDelete, arguments: toTable(table, 'arguments') };
  await refusable(`queue "${name}"`, { durable, exclusive, autoDelete, arguments: table }, looks, () =>
    lane.ask(`declaring the queue "${name}"`, (raw) =>
      looks ? raw.checkQueue(name) : raw.assertQueue(name, declared),
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
  looks: boolean,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const cause = error instanceof ChannelError || error instanceof OperationalError ? error.cause : undefined;
    const code = replyCode(cause);
    if (code === 406) throw new TopologyConflictError(what, asked, replyText(cause), { cause });
    if (code === 404 && looks) {
      throw new ChannelError(`the ${what} does not exist, and it may not be created here (passive)`, { cause });
    }
    if (code === 403 && !looks) {
      throw new OperationalError(
        `the ${what} may not be created: ${replyText(cause)}. Make it beforehand and set the transport option declare to "passive", or let the user configure it`,
        { cause, recoverable: false },
      );
    }
    throw error;
  }
}
