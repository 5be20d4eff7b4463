import { ChannelError } from '../../errors.ts';
import { exchange, queue, type Queue } from '../../messaging/entity.ts';
import type { Destination } from '../transport.ts';
import type { AmqpConnection } from './connection.ts';
import { declare } from './declare.ts';
import type { DelayedDelivery } from './options.ts';

/*
 * Celery's native delayed delivery. Level n is an exchange and a queue that keeps what it gets for 2^n seconds and
 * then hands it to level n-1. A message carries its delay as 28 binary digits in front of its routing key: where a
 * digit is 1 the level's exchange routes to the level's queue, where it is 0 to the next exchange. Past level 0 it
 * reaches the exchange `celery_delayed_delivery`, to which the exchanges of the application are bound.
 *
 * Celery has nothing for direct exchanges. Ours: the queue itself is bound under a routing key that nobody else uses.
 *
 * Source: kombu.transport.native_delayed_delivery.
 */

const LEVELS = 28;
const MOST_SECONDS = 2 ** LEVELS - 1;
const ENTRY = `celery_delayed_${LEVELS - 1}`;
const EXIT = 'celery_delayed_delivery';
/** First word of the routing key of a message that goes to one queue alone. */
const QUEUE_MARK = 'celeriac-queue';
const PREFIX = /^(?:[01]\.){28}/;

/** Source: `calculate_routing_key`. */
export function delayedRoutingKey(delaySeconds: number, routingKey: string): string {
  const digits = delaySeconds.toString(2).padStart(LEVELS, '0');
  return `${digits.split('').join('.')}.${routingKey.replace(PREFIX, '')}`;
}

/**
 * Where a delivery was addressed to before it was delayed. It comes from the level where it waited last.
 * @param home exchange of the queue that it was read from
 */
export function arrivalOf(exchangeName: string, routingKey: string, home: string): Destination {
  if (!exchangeName.startsWith('celery_delayed_')) return { exchange: exchangeName, routingKey };
  const key = routingKey.replace(PREFIX, '');
  return key.startsWith(`${QUEUE_MARK}.`)
    ? { exchange: '', routingKey: key.slice(QUEUE_MARK.length + 1) }
    : { exchange: home, routingKey: key };
}

/** What one connection has declared of the levels, and what is bound to their end. */
export class DelayedLevels {
  readonly #connection: AmqpConnection;
  readonly #delivery: DelayedDelivery;
  readonly #bound = new Map<string, Promise<void>>();
  #levels: Promise<void> | undefined;

  constructor(connection: AmqpConnection, delivery: DelayedDelivery) {
    this.#connection = connection;
    this.#delivery = delivery;
  }

  /**
   * The address that leads to `to` after the delay; undefined when it is over already.
   * @param secondsLeft asked again once everything is declared
   */
  async address(to: Destination, secondsLeft: () => number): Promise<Destination | undefined> {
    if (secondsLeft() < 1) return undefined;
    await this.#declared();
    const { exchange: name, routingKey } = to;
    const key = name === '' ? `${QUEUE_MARK}.${routingKey}` : routingKey.replace(PREFIX, '');
    await this.#once(`${name} ${key}`, () =>
      name === '' ? this.#bindQueue(routingKey, EXIT, `#.${key}`) : this.#bindExchange(name, EXIT, `#.${key}`),
    );
    const delay = Math.min(MOST_SECONDS, secondsLeft());
    return delay < 1 ? undefined : { exchange: ENTRY, routingKey: delayedRoutingKey(delay, key) };
  }

  /** Lets delayed messages reach a queue through its exchange. Source: `bind_queue_to_native_delayed_delivery_exchange`. */
  async admit({ name, exchange: own, routingKey, noAck }: Queue): Promise<void> {
    // Mailboxes and events are read without acknowledging: nothing that is due later goes there.
    if (own === undefined || own.type === 'direct' || own.name === '' || noAck === true) return;
    await this.#declared();
    const key = routingKey.startsWith('#') ? routingKey : `#.${routingKey}`;
    await this.#once(`queue ${name}`, async () => {
      await this.#bindExchange(own.name, EXIT, key);
      await this.#bindQueue(name, own.name, key);
    });
  }

  /** Lets producers find the levels once somebody consumes. Never rejects. */
  async prepare(): Promise<void> {
    try {
      await this.#declared();
    } catch (error) {
      this.#connection.context.log.warn({ error }, 'the levels of delayed delivery could not be declared');
    }
  }

  #declared(): Promise<void> {
    this.#levels ??= this.#declare().catch((error: unknown) => {
      this.#levels = undefined;
      throw error;
    });
    return this.#levels;
  }

  async #once(what: string, work: () => Promise<void>): Promise<void> {
    if (this.#connection.settings.declare === 'never') return;
    let pending = this.#bound.get(what);
    if (pending === undefined) {
      pending = work();
      this.#bound.set(what, pending);
      pending.catch(() => this.#bound.delete(what));
    }
    await pending;
  }

  async #declare(): Promise<void> {
    const { lane, settings } = this.#connection;
    if (settings.declare === 'never') return;
    // The last one to be declared, here and in Python: where it is, all are.
    if (await this.#exists(EXIT)) return;
    if (settings.declare === 'passive') {
      throw new ChannelError(
        `the exchange "${EXIT}" does not exist, and it may not be created here (passive): a worker without that option makes the levels of delayed delivery`,
      );
    }
    for (let level = LEVELS - 1; level >= 0; level--) {
      await declare(lane, levelQueue(level, this.#delivery));
    }
    for (let level = LEVELS - 1; level > 0; level--) {
      await this.#bindExchange(levelName(level - 1), levelName(level), levelKey(level, 0));
    }
    await declare(lane, exchange(EXIT, { type: 'topic' }));
    await this.#bindExchange(EXIT, levelName(0), levelKey(0, 0));
  }

  async #exists(name: string): Promise<boolean> {
    try {
      await this.#connection.lane.ask('looking for delayed delivery', (raw) => raw.checkExchange(name));
      return true;
    } catch (error) {
      if (error instanceof ChannelError) return false;
      throw error;
    }
  }

  async #bindExchange(destination: string, source: string, key: string): Promise<void> {
    await this.#connection.lane.ask(`binding the exchange "${destination}" to "${source}"`, (raw) =>
      raw.bindExchange(destination, source, key),
    );
  }

  async #bindQueue(name: string, source: string, key: string): Promise<void> {
    await this.#connection.lane.ask(`binding the queue "${name}" to "${source}"`, (raw) =>
      raw.bindQueue(name, source, key),
    );
  }
}

const levelName = (level: number): string => `celery_delayed_${level}`;

function levelKey(level: number, digit: 0 | 1): string {
  return `${'*.'.repeat(LEVELS - 1 - level)}${digit}.#`;
}

function levelQueue(level: number, { queueType }: DelayedDelivery): Queue {
  const name = levelName(level);
  return queue(name, {
    exchange: exchange(name, { type: 'topic' }),
    routingKey: levelKey(level, 1),
    arguments: {
      'x-queue-type': queueType,
      'x-overflow': 'reject-publish',
      'x-message-ttl': 2 ** level * 1000,
      'x-dead-letter-exchange': level > 0 ? levelName(level - 1) : EXIT,
      ...(queueType === 'quorum' && { 'x-dead-letter-strategy': 'at-least-once' }),
    },
  });
}
