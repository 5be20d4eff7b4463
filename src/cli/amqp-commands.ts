import { exchange, queue, type ExchangeType } from '../messaging/entity.ts';
import { nearest } from '../runtime/nearest.ts';
import type { Channel, Delivery } from '../transports/transport.ts';
import { CommandError, EXIT } from './exit.ts';

/*
 * The commands of `celeriac amqp`: AMQP's method names, on whatever broker there is. Source: celery.bin.amqp.
 * Differs: basic.ack knows only what basic.get of the same session took; what is not acknowledged goes back.
 */

interface BrokerCommand {
  readonly usage: string;
  readonly help: string;
  readonly needs: number;
  readonly most: number;
  run(broker: BrokerSession, words: readonly string[]): Promise<unknown>;
}

const EXCHANGE_TYPES: readonly string[] = ['direct', 'topic', 'fanout', 'headers'];
/** Messages that one session may hold unacknowledged. */
const MOST_HELD = 1000;

/** One session: its channel, and the messages it took and has not settled. */
export class BrokerSession {
  readonly channel: Channel;
  readonly held: Map<string, Delivery> = new Map();

  constructor(channel: Channel) {
    this.channel = channel;
  }

  /** @returns what to show; text as it is, anything else as JSON */
  async run(words: readonly string[]): Promise<unknown> {
    const [name = '', ...rest] = words;
    const command = COMMANDS[name];
    if (command === undefined) {
      const similar = nearest(name, Object.keys(COMMANDS));
      throw new CommandError(`no command "${name}"`, {
        exitCode: EXIT.usage,
        hint: similar === undefined ? `There are: ${Object.keys(COMMANDS).join(', ')}` : `Did you mean ${similar}?`,
      });
    }
    if (rest.length < command.needs || rest.length > command.most) {
      throw new CommandError(`${name}: too ${rest.length < command.needs ? 'few' : 'many'} arguments`, {
        exitCode: EXIT.usage,
        hint: `Usage: ${name} ${command.usage}`,
      });
    }
    return command.run(this, rest);
  }

  take(tag: string): Delivery {
    const delivery = this.held.get(tag);
    if (delivery !== undefined) return delivery;
    throw new CommandError(`this session holds no message with the delivery tag ${tag}`, {
      hint:
        this.held.size === 0 ? 'Take one first: basic.get <queue>' : `It holds: ${[...this.held.keys()].join(', ')}`,
    });
  }
}

function yes(text: string | undefined, otherwise: boolean): boolean {
  if (text === undefined) return otherwise;
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  throw new CommandError(`expected yes or no, got "${text}"`, { exitCode: EXIT.usage });
}

function exchangeType(text: string): ExchangeType {
  if (EXCHANGE_TYPES.includes(text)) return text as ExchangeType;
  throw new CommandError(`expected one of ${EXCHANGE_TYPES.join(', ')}, got "${text}"`, { exitCode: EXIT.usage });
}

function shownBody({ message: { body, contentType, contentEncoding } }: Delivery): string {
  const text = contentEncoding !== 'binary' || /json|text/.test(contentType);
  return text ? new TextDecoder().decode(body) : Buffer.from(body).toString('base64');
}

const COMMANDS: Readonly<Record<string, BrokerCommand>> = {
  'exchange.declare': {
    usage: '<exchange> [type] [durable] [auto_delete]',
    help: 'make an exchange; direct, durable',
    needs: 1,
    most: 4,
    async run({ channel }, [name = '', type = 'direct', durable, autoDelete]) {
      const options = { type: exchangeType(type), durable: yes(durable, true), autoDelete: yes(autoDelete, false) };
      await channel.declare(exchange(name, options));
      return 'ok.';
    },
  },
  'exchange.delete': {
    usage: '<exchange>',
    help: 'remove an exchange and its bindings',
    needs: 1,
    most: 1,
    async run({ channel }, [name = '']) {
      if (channel.deleteExchange === undefined) throw new CommandError('this broker keeps no exchanges to delete');
      await channel.deleteExchange(name);
      return 'ok.';
    },
  },
  'queue.declare': {
    usage: '<queue> [durable] [exclusive] [auto_delete]',
    help: 'make a queue; durable',
    needs: 1,
    most: 4,
    async run({ channel }, [name = '', durable, exclusive, autoDelete]) {
      await channel.declare(
        queue(name, {
          durable: yes(durable, true),
          exclusive: yes(exclusive, false),
          autoDelete: yes(autoDelete, false),
        }),
      );
      return `ok. queue:${name} messages:${await channel.size(name)}`;
    },
  },
  'queue.bind': {
    usage: '<queue> <exchange> <routing_key>',
    help: 'let messages of an exchange reach a queue',
    needs: 3,
    most: 3,
    async run({ channel }, [name = '', from = '', routingKey = '']) {
      await channel.declare({ kind: 'binding', queue: name, exchange: from, routingKey });
      return 'ok.';
    },
  },
  'queue.purge': {
    usage: '<queue>',
    help: 'drop what waits in a queue',
    needs: 1,
    most: 1,
    run: async ({ channel }, [name = '']) => `ok. ${await channel.purge(name)} messages deleted.`,
  },
  'queue.delete': {
    usage: '<queue>',
    help: 'remove a queue and what waits in it',
    needs: 1,
    most: 1,
    async run({ channel }, [name = '']) {
      const size = await channel.size(name);
      await channel.deleteQueue(name);
      return `ok. ${size} messages deleted.`;
    },
  },
  'basic.get': {
    usage: '<queue> [no_ack]',
    help: 'take one message; it goes back unless acknowledged',
    needs: 1,
    most: 2,
    async run(session, [name = '', noAck]) {
      if (session.held.size >= MOST_HELD) {
        throw new CommandError(`this session holds ${MOST_HELD} messages already`, { hint: 'basic.ack some of them' });
      }
      const delivery = await session.channel.get(name);
      if (delivery === undefined) return null;
      const tag = String(delivery.deliveryTag);
      if (yes(noAck, false)) await delivery.ack();
      else session.held.set(tag, delivery);
      const { headers, properties, contentType, contentEncoding } = delivery.message;
      const { exchange: from, routingKey, redelivered } = delivery;
      const info = { delivery_tag: tag, exchange: from, routing_key: routingKey, redelivered };
      return {
        body: shownBody(delivery),
        delivery_info: info,
        content_type: contentType,
        content_encoding: contentEncoding,
        headers,
        properties,
      };
    },
  },
  'basic.publish': {
    usage: '<text> <exchange> <routing_key>',
    help: "send a text; '' is the default exchange",
    needs: 3,
    most: 3,
    async run({ channel }, [text = '', to = '', routingKey = '']) {
      const message = {
        body: new TextEncoder().encode(text),
        contentType: 'text/plain',
        contentEncoding: 'utf-8',
        headers: {},
        properties: { deliveryMode: 2 as const },
      };
      await channel.publish(message, { exchange: to, routingKey });
      return 'ok.';
    },
  },
  'basic.ack': {
    usage: '<delivery_tag>',
    help: 'acknowledge a message that basic.get took',
    needs: 1,
    most: 1,
    async run(session, [tag = '']) {
      await session.take(tag).ack();
      session.held.delete(tag);
      return 'ok.';
    },
  },
  'basic.reject': {
    usage: '<delivery_tag> [requeue]',
    help: 'drop a message that basic.get took, or put it back',
    needs: 1,
    most: 2,
    async run(session, [tag = '', requeue]) {
      await session.take(tag).reject({ requeue: yes(requeue, false) });
      session.held.delete(tag);
      return 'ok.';
    },
  },
};

export const AMQP_COMMANDS: readonly string[] = Object.keys(COMMANDS);

export function amqpHelp(): string {
  return Object.entries(COMMANDS)
    .map(([name, { usage, help }]) => `  ${`${name} ${usage}`.padEnd(62)} ${help}`)
    .join('\n');
}
