import { OperationalError } from '../errors.ts';
import type { Message } from '../protocol/message.ts';
import type { Channel, Delivery, Destination } from '../transports/transport.ts';
import { queue as plainQueue, type Queue } from './entity.ts';

/*
 * move    publish to the destination, then acknowledge at the source: whatever ends the process in between makes a
 *         message arrive twice, never not at all
 * copy    the same without the acknowledgement: what was read goes back to its queue at the end
 */

export interface Moving {
  readonly source: Channel;
  readonly destination: Channel;
  readonly queues: readonly Queue[];
  /** New names of queues, by old name; exchanges and routing keys of that name change with them. */
  readonly rename?: ReadonlyMap<string, string> | undefined;
  /** Whether this message goes; one that does not stays where it is. @default all */
  readonly select?: ((message: Message, delivery: Delivery) => boolean) | undefined;
  /**
   * Another message and address for each; then nothing is declared, and what no queue takes is an error.
   * @default as it is, to where it was
   */
  readonly readdress?: ((delivery: Delivery) => Readdressed | Promise<Readdressed>) | undefined;
  /** Acknowledge at the source. @default true */
  readonly acknowledge?: boolean | undefined;
  /** Most messages to move. @default all */
  readonly limit?: number | undefined;
  /** Called when a message has arrived. */
  readonly onMoved?: ((progress: Progress) => void) | undefined;
  /** Ends between two messages. */
  readonly signal?: AbortSignal | undefined;
}

interface Readdressed {
  readonly message: Message;
  readonly to: Destination;
}

export interface Progress {
  readonly moved: number;
  /** Messages that waited when it began; more may have come since. */
  readonly total: number;
  readonly delivery: Delivery;
}

export interface Moved {
  readonly moved: number;
  /** Left where they were by `select`. */
  readonly left: number;
}

/** Publishes on their way at a time. */
const WINDOW = 32;
/** What is neither moved nor acknowledged is held until the end; beyond this it stops. */
const MOST_HELD = 100_000;

/**
 * Moves what waits in queues to another broker, headers, properties and body as they are. Ends when the queues are
 * empty. Source: `migrate_tasks` of celery.contrib.migrate.
 */
export async function moveMessages(moving: Moving): Promise<Moved> {
  const { source, destination, queues, rename, signal } = moving;
  const renamed = (name: string): string => rename?.get(name) ?? name;
  const sizes = await Promise.all(queues.map(({ name }) => source.size(name)));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const onTheWay = new Set<Promise<void>>();
  const held: Delivery[] = [];
  let begun = 0;
  let moved = 0;
  let left = 0;
  let failure: unknown;

  const send = async (delivery: Delivery): Promise<void> => {
    if (moving.readdress) {
      const { message, to } = await moving.readdress(delivery);
      await destination.publish(message, to, { mandatory: true });
    } else await destination.publish(delivery.message, addressOf(delivery, renamed));
    if (moving.acknowledge ?? true) await delivery.ack();
    else held.push(delivery);
    moved++;
    moving.onMoved?.({ moved, total, delivery });
  };

  const full = (): boolean => begun >= (moving.limit ?? Infinity);
  for (const one of queues) {
    if (!moving.readdress) await destination.declare(renamedQueue(one, renamed));
    while (!full() && !signal?.aborted && failure === undefined) {
      const delivery = await source.get(one.name);
      if (delivery === undefined) break;
      if (moving.select?.(delivery.message, delivery) === false) {
        left++;
        held.push(delivery);
      } else {
        begun++;
        const sending: Promise<void> = send(delivery)
          .catch((error: unknown) => {
            failure ??= error;
            held.push(delivery);
          })
          .finally(() => onTheWay.delete(sending));
        onTheWay.add(sending);
        if (onTheWay.size >= WINDOW) await Promise.race(onTheWay);
      }
      if (held.length >= MOST_HELD) failure ??= tooMany();
    }
  }
  await Promise.all(onTheWay);
  for (const delivery of held) await delivery.reject({ requeue: true });
  if (failure !== undefined) throw failure as Error;
  return { moved, left };
}

function addressOf(delivery: Delivery, renamed: (name: string) => string): Destination {
  // A queue's own name as exchange or key is a name of the queue; anything else is routing, and stays.
  return { exchange: renamed(delivery.exchange), routingKey: renamed(delivery.routingKey) };
}

function renamedQueue(one: Queue, renamed: (name: string) => string): Queue {
  const name = renamed(one.name);
  if (name === one.name) return one;
  const exchange = one.exchange && { ...one.exchange, name: renamed(one.exchange.name) };
  return plainQueue(name, { ...one, exchange, routingKey: renamed(one.routingKey) });
}

function tooMany(): OperationalError {
  return new OperationalError(
    `more than ${MOST_HELD} messages would have to be held to look at those behind them: acknowledge what is moved, ` +
      'set a limit, or move whole queues',
    { recoverable: false, code: 'ERR_TOO_MANY_HELD' },
  );
}
