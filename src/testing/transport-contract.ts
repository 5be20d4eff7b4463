import { OperationalError } from '../errors.ts';
import { exchange, queue, type Queue } from '../messaging/entity.ts';
import type { Message, MessageProperties } from '../protocol/message.ts';
import type { Channel, Connection, Consumer, Delivery, Transport } from '../transports/transport.ts';
import { eventually, quietly } from './eventually.ts';
import { equal, holds, type Runner } from './runner.ts';

/** A transport to put to the test, on a broker that nobody else uses. */
export interface TransportSubject {
  readonly transport: Transport;
  /** Another client of the same broker; left out where the transport cannot be shared. */
  readonly second?: Transport | undefined;
  /** Called once at the end of each test. */
  dispose(): Promise<void>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function message(text: string, properties: MessageProperties = {}, headers: Message['headers'] = {}): Message {
  return {
    body: encoder.encode(text),
    contentType: 'text/plain',
    contentEncoding: 'utf-8',
    headers,
    properties: { deliveryMode: 2, ...properties },
  };
}

const text = ({ message: { body } }: Delivery): string => decoder.decode(body);

/** A consumer that keeps what it is given. */
class Inbox {
  readonly deliveries: Delivery[] = [];
  consumer!: Consumer;

  get texts(): string[] {
    return this.deliveries.map(text);
  }

  static async open(
    channel: Channel,
    from: Queue,
    prefetch = 0,
    options: { noAck?: boolean; onCancel?: (reason: Error) => void } = {},
  ): Promise<Inbox> {
    const inbox = new Inbox();
    inbox.consumer = await channel.consume(from, (delivery) => void inbox.deliveries.push(delivery), {
      prefetch,
      ...options,
    });
    return inbox;
  }

  async waitFor(count: number): Promise<void> {
    await eventually(() => this.deliveries.length >= count, `${count} deliveries, got ${JSON.stringify(this.texts)}`);
    equal(this.deliveries.length, count, 'number of deliveries');
  }
}

/**
 * What every transport has to do, and what those have to do that claim more. Run it against a real server:
 *
 * @example
 * transportContract({ describe, test }, 'redis', async () => ({ transport, dispose }));
 */
export function transportContract(runner: Runner, name: string, open: () => Promise<TransportSubject>): void {
  let names = 0;
  const fresh = (options: Parameters<typeof queue>[1] = {}): Queue => queue(`contract-${++names}`, options);

  const check = (
    what: string,
    run: (channel: Channel, subject: TransportSubject, connection: Connection) => Promise<void>,
  ) =>
    runner.test(what, async () => {
      const subject = await open();
      try {
        const connection = await subject.transport.connect();
        try {
          await run(await connection.channel(), subject, connection);
        } finally {
          await connection.close();
        }
      } finally {
        await subject.dispose();
      }
    });

  /** Tests of what not every transport can do; the others prove that they do not claim it. */
  const checkWhere = (
    claim: (transport: Transport) => unknown,
    what: string,
    run: (channel: Channel, subject: TransportSubject, connection: Connection) => Promise<void>,
  ) =>
    check(what, async (channel, subject, connection) => {
      if (claim(subject.transport)) await run(channel, subject, connection);
    });

  runner.describe(`${name} transport`, () => {
    check('delivers what was published, first in first out', async (channel) => {
      const to = fresh();
      await channel.declare(to);
      for (let i = 0; i < 20; i++) await channel.publish(message(`m${i}`), { exchange: '', routingKey: to.name });
      equal(await channel.size(to.name), 20, 'size');
      const inbox = await Inbox.open(channel, to);
      await inbox.waitFor(20);
      equal(
        inbox.texts,
        Array.from({ length: 20 }, (_, i) => `m${i}`),
        'order',
      );
      await Promise.all(inbox.deliveries.map((delivery) => delivery.ack()));
      equal(await channel.size(to.name), 0, 'size after acknowledging');
    });

    check('tells its bindings, and forgets an exchange', async (channel) => {
      if (channel.deleteExchange === undefined) return;
      const to = fresh();
      const from = exchange(`${to.name}-exchange`, { type: 'topic' });
      await channel.declare({ ...to, exchange: from, routingKey: 'a.#' });
      await channel.publish(message('bound'), { exchange: from.name, routingKey: 'a.b' });
      equal(await channel.size(to.name), 1, 'size');
      const known = async (): Promise<unknown[] | undefined> =>
        (await channel.bindings?.())
          ?.filter((one) => one.exchange === from.name)
          .map(({ queue: name, routingKey }) => [name, routingKey]);
      if (channel.bindings !== undefined) equal(await known(), [[to.name, 'a.#']], 'bindings');
      await channel.deleteExchange(from.name);
      await channel.deleteExchange(from.name);
      if (channel.bindings !== undefined) equal(await known(), [], 'bindings afterwards');
    });

    check('keeps body, headers and properties as they are', async (channel) => {
      const to = fresh();
      const body = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 7) & 0xff);
      const sent: Message = {
        body,
        contentType: 'application/x-thing',
        contentEncoding: 'binary',
        headers: { task: 'ü', nested: { list: [1, 2.5, null, true], big: 2 ** 40 } },
        properties: { correlationId: 'c-1', replyTo: 'r-1', deliveryMode: 2, priority: 0 },
      };
      await channel.declare(to);
      await channel.publish(sent, { exchange: '', routingKey: to.name });
      const inbox = await Inbox.open(channel, to);
      await inbox.waitFor(1);
      const [delivery] = inbox.deliveries as [Delivery];
      holds(Buffer.compare(delivery.message.body, body) === 0, 'the body came back changed');
      const sorted = (headers: Message['headers']): object =>
        Object.fromEntries(Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1)));
      equal(sorted(delivery.message.headers), sorted(sent.headers), 'headers');
      equal(delivery.message.contentType, sent.contentType, 'content type');
      equal(delivery.message.contentEncoding, sent.contentEncoding, 'content encoding');
      const { correlationId, replyTo, deliveryMode } = delivery.message.properties;
      equal([correlationId, replyTo, deliveryMode], ['c-1', 'r-1', 2], 'properties');
      equal([delivery.exchange, delivery.routingKey, delivery.queue], ['', to.name, to.name], 'where it came from');
      equal(delivery.redelivered, false, 'redelivered');
      await delivery.ack();
    });

    check('hands out no more than the prefetch window', async (channel) => {
      const to = fresh();
      await channel.declare(to);
      for (let i = 0; i < 10; i++) await channel.publish(message(`m${i}`), { exchange: '', routingKey: to.name });
      const inbox = await Inbox.open(channel, to, 3);
      await inbox.waitFor(3);
      await quietly();
      equal(inbox.deliveries.length, 3, 'deliveries before any was settled');
      await inbox.deliveries[0]?.ack();
      await inbox.waitFor(4);
      await inbox.consumer.setPrefetch(6);
      await inbox.waitFor(7);
      await quietly();
      equal(inbox.deliveries.length, 7, 'deliveries after the window grew');
    });

    check('a window below zero stops deliveries until it grows again', async (channel) => {
      const to = fresh();
      await channel.declare(to);
      const inbox = await Inbox.open(channel, to, 2);
      await channel.publish(message('before'), { exchange: '', routingKey: to.name });
      await inbox.waitFor(1);
      await inbox.consumer.setPrefetch(-1);
      await channel.publish(message('meanwhile'), { exchange: '', routingKey: to.name });
      await inbox.deliveries[0]?.ack();
      await quietly();
      equal(inbox.texts, ['before'], 'deliveries while the window was closed');
      await inbox.consumer.setPrefetch(1);
      await inbox.waitFor(2);
      await inbox.deliveries[1]?.ack();
      await channel.publish(message('after'), { exchange: '', routingKey: to.name });
      await inbox.waitFor(3);
    });

    checkWhere(
      // Native brokers have rules of their own for this.
      (transport) => transport.capabilities.exchanges === 'emulated',
      'consumers of one channel share their window, and none of them starves',
      async (channel) => {
        const queues = [fresh(), fresh(), fresh()];
        for (const to of queues) {
          await channel.declare(to);
          for (let i = 0; i < 10; i++) await channel.publish(message(`m${i}`), { exchange: '', routingKey: to.name });
        }
        const seen: Delivery[] = [];
        for (const from of queues) await channel.consume(from, (delivery) => void seen.push(delivery), { prefetch: 6 });
        await eventually(() => seen.length === 6, 'six deliveries in all');
        await quietly();
        equal(seen.length, 6, 'deliveries before any was settled');
        while (seen.length < 15) {
          const before = seen.length;
          await seen[before - 6]?.ack();
          await eventually(() => seen.length > before, 'another one for each that is settled');
          equal(seen.length, before + 1, 'deliveries');
        }
        equal(new Set(seen.slice(6).map(({ queue: name }) => name)).size, 3, 'queues that were served');
      },
    );

    check('a rejected message comes again, or never', async (channel) => {
      const to = fresh();
      await channel.declare(to);
      await channel.publish(message('again'), { exchange: '', routingKey: to.name });
      const inbox = await Inbox.open(channel, to, 1);
      await inbox.waitFor(1);
      await inbox.deliveries[0]?.reject({ requeue: true });
      await inbox.waitFor(2);
      equal(inbox.deliveries[1]?.redelivered, true, 'redelivered');
      await inbox.deliveries[1]?.reject({ requeue: false });
      await quietly();
      equal(inbox.deliveries.length, 2, 'deliveries');
      equal(await channel.size(to.name), 0, 'size');
    });

    check('settling twice does nothing', async (channel) => {
      const to = fresh();
      await channel.declare(to);
      await channel.publish(message('once'), { exchange: '', routingKey: to.name });
      const inbox = await Inbox.open(channel, to);
      await inbox.waitFor(1);
      const [delivery] = inbox.deliveries as [Delivery];
      await delivery.ack();
      await delivery.reject({ requeue: true });
      await delivery.ack();
      await quietly();
      equal(inbox.deliveries.length, 1, 'deliveries');
      equal(await channel.size(to.name), 0, 'size');
    });

    check('closing a channel returns what is unsettled, in order', async (channel, _, connection) => {
      const to = fresh();
      await channel.declare(to);
      for (const one of ['a', 'b', 'c']) await channel.publish(message(one), { exchange: '', routingKey: to.name });
      const first = await connection.channel();
      const inbox = await Inbox.open(first, to, 2);
      await inbox.waitFor(2);
      await first.close();
      await first.close();
      const again = await Inbox.open(channel, to);
      await again.waitFor(3);
      equal(again.texts, ['a', 'b', 'c'], 'order after the return');
      equal(again.deliveries[0]?.redelivered, true, 'redelivered');
    });

    check('a cancelled consumer gets nothing more, what it has stays valid', async (channel) => {
      const to = fresh();
      await channel.declare(to);
      await channel.publish(message('before'), { exchange: '', routingKey: to.name });
      const inbox = await Inbox.open(channel, to);
      await inbox.waitFor(1);
      await inbox.consumer.cancel();
      await inbox.consumer.cancel();
      await channel.publish(message('after'), { exchange: '', routingKey: to.name });
      await quietly();
      equal(inbox.texts, ['before'], 'deliveries');
      await inbox.deliveries[0]?.ack();
      equal(await channel.size(to.name), 1, 'size');
    });

    check('several consumers share a queue without duplicates', async (channel, _, connection) => {
      const to = fresh();
      await channel.declare(to);
      const inboxes = await Promise.all([1, 2, 3].map(async () => Inbox.open(await connection.channel(), to, 5)));
      const acknowledge = async (): Promise<boolean> => {
        const all = inboxes.flatMap(({ deliveries }) => deliveries);
        await Promise.all(all.map((delivery) => delivery.ack()));
        return all.length >= 100;
      };
      await Promise.all(
        Array.from({ length: 100 }, (_, i) => channel.publish(message(`m${i}`), { exchange: '', routingKey: to.name })),
      );
      await eventually(acknowledge, '100 deliveries');
      await quietly(50);
      const texts = inboxes.flatMap((inbox) => inbox.texts);
      equal([texts.length, new Set(texts).size], [100, 100], 'deliveries and different ones');
    });

    check('get takes one message or none', async (channel) => {
      const to = fresh();
      await channel.declare(to);
      equal(await channel.get(to.name), undefined, 'get on an empty queue');
      await channel.publish(message('one'), { exchange: '', routingKey: to.name });
      const delivery = await channel.get(to.name);
      holds(delivery !== undefined, 'expected a delivery');
      equal(text(delivery), 'one', 'text');
      await delivery.ack();
      equal(await channel.size(to.name), 0, 'size');
    });

    check('purge drops what is ready and says how many', async (channel) => {
      const to = fresh();
      await channel.declare(to);
      for (let i = 0; i < 5; i++) await channel.publish(message(`m${i}`), { exchange: '', routingKey: to.name });
      equal(await channel.purge(to.name), 5, 'purged');
      equal(await channel.purge(to.name), 0, 'purged again');
      equal(await channel.get(to.name), undefined, 'get');
    });

    check('a direct exchange routes by key', async (channel) => {
      const direct = exchange(`direct-${++names}`);
      const red = fresh({ exchange: direct, routingKey: 'red' });
      const blue = fresh({ exchange: direct, routingKey: 'blue' });
      await channel.declare(red);
      await channel.declare(blue);
      await channel.publish(message('r'), { exchange: direct.name, routingKey: 'red' });
      await channel.publish(message('x'), { exchange: direct.name, routingKey: 'nobody' });
      const [reds, blues] = [await Inbox.open(channel, red), await Inbox.open(channel, blue)];
      await reds.waitFor(1);
      await quietly();
      equal([reds.texts, blues.texts], [['r'], []], 'deliveries');
      equal([reds.deliveries[0]?.exchange, reds.deliveries[0]?.routingKey], [direct.name, 'red'], 'address');
    });

    check('a topic exchange routes by pattern', async (channel) => {
      const topic = exchange(`topic-${++names}`, { type: 'topic' });
      const words = fresh({ exchange: topic, routingKey: 'log.*.error' });
      const all = fresh({ exchange: topic, routingKey: 'log.#' });
      await channel.declare(words);
      await channel.declare(all);
      for (const key of ['log.db.error', 'log.db.info', 'log.a.b.info', 'other']) {
        await channel.publish(message(key), { exchange: topic.name, routingKey: key });
      }
      const [exact, wide] = [await Inbox.open(channel, words), await Inbox.open(channel, all)];
      await wide.waitFor(3);
      await exact.waitFor(1);
      equal(exact.texts, ['log.db.error'], 'words');
      equal(wide.texts, ['log.db.error', 'log.db.info', 'log.a.b.info'], 'all');
    });

    checkWhere(
      ({ capabilities }) => capabilities.fanout,
      'a fan-out exchange reaches every queue bound to it',
      async (channel, _, connection) => {
        const fanout = exchange(`fanout-${++names}`, { type: 'fanout', durable: false });
        const options = { exchange: fanout, routingKey: '', durable: false, autoDelete: true, noAck: true };
        const inboxes = await Promise.all(
          [1, 2, 3].map(async () => Inbox.open(await connection.channel(), fresh(options), 0, { noAck: true })),
        );
        await channel.publish(message('all'), { exchange: fanout.name, routingKey: '' });
        for (const inbox of inboxes) await inbox.waitFor(1);
      },
    );

    checkWhere(
      ({ capabilities }) => capabilities.priority,
      'serves by priority',
      async (channel, { transport }) => {
        const to = fresh({ maxPriority: 10 });
        await channel.declare(to);
        for (const priority of [3, 9, 0, 6]) {
          await channel.publish(message(`p${priority}`, { priority }), { exchange: '', routingKey: to.name });
        }
        const inbox = await Inbox.open(channel, to, 1);
        for (let i = 1; i <= 4; i++) {
          await inbox.waitFor(i);
          await inbox.deliveries[i - 1]?.ack();
        }
        const lowestFirst = ['p0', 'p3', 'p6', 'p9'];
        const expected = transport.capabilities.priority === 'lowest-first' ? lowestFirst : lowestFirst.reverse();
        equal(inbox.texts, expected, 'order');
      },
    );

    checkWhere(
      ({ capabilities }) => capabilities.delay === 'native',
      'keeps delayed messages until they are due',
      async (channel) => {
        const to = fresh();
        await channel.declare(to);
        const inbox = await Inbox.open(channel, to);
        await channel.publish(message('later'), { exchange: '', routingKey: to.name }, { delayMs: 400 });
        await channel.publish(message('now'), { exchange: '', routingKey: to.name });
        await inbox.waitFor(1);
        equal(inbox.texts, ['now'], 'first');
        await inbox.waitFor(2);
        equal(inbox.texts, ['now', 'later'], 'both');
      },
    );

    checkWhere(
      ({ capabilities }) => capabilities.deliveryCount,
      'counts deliveries that nobody returned on purpose',
      async (channel, _, connection) => {
        const to = fresh();
        await channel.declare(to);
        await channel.publish(message('counted'), { exchange: '', routingKey: to.name });
        const inbox = await Inbox.open(channel, to, 1);
        await inbox.waitFor(1);
        equal(inbox.deliveries[0]?.deliveryCount, 1, 'first delivery');
        await inbox.deliveries[0]?.reject({ requeue: true });
        await inbox.waitFor(2);
        equal(inbox.deliveries[1]?.deliveryCount, 1, 'after it was returned');
        await inbox.consumer.cancel();
        void connection;
      },
    );

    checkWhere(
      ({ capabilities }) => capabilities.once === true,
      'takes a message that is published again once',
      async (channel) => {
        const to = fresh();
        const publish = (text: string, queue: string, once?: string): Promise<void> =>
          channel.publish(message(text), { exchange: '', routingKey: queue }, { once });
        await channel.declare(to);
        await Promise.all([publish('a', to.name, 'key'), publish('a', to.name, 'key')]);
        await publish('b', to.name, 'key');
        await publish('c', to.name, 'another');
        await publish('d', to.name);
        await publish('d', to.name);
        equal(await channel.size(to.name), 4, 'messages');
      },
    );

    check('held says whether the lease stands', async (channel) => {
      const to = fresh();
      await channel.declare(to);
      await channel.publish(message('mine'), { exchange: '', routingKey: to.name });
      const inbox = await Inbox.open(channel, to);
      await inbox.waitFor(1);
      const [delivery] = inbox.deliveries as [Delivery];
      equal(await delivery.held(), true, 'held');
      await delivery.ack();
    });

    check('many publishes in flight all arrive', async (channel) => {
      const to = fresh();
      await channel.declare(to);
      await Promise.all(
        Array.from({ length: 2_000 }, (_, i) =>
          channel.publish(message(`${i}`), { exchange: '', routingKey: to.name }),
        ),
      );
      const seen = new Set<string>();
      await channel.consume(
        to,
        (delivery) => {
          seen.add(text(delivery));
          void delivery.ack();
        },
        { prefetch: 100 },
      );
      await eventually(() => seen.size === 2_000, '2000 different deliveries');
    });

    check('after close, publishing rejects and closing again is harmless', async (channel, _, connection) => {
      const to = fresh();
      await channel.declare(to);
      await connection.close();
      await connection.close();
      equal(await connection.closed, undefined, 'what ended the connection');
      const error = await channel.publish(message('late'), { exchange: '', routingKey: to.name }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      holds(error instanceof OperationalError, `expected an OperationalError, got ${String(error)}`);
    });

    checkWhere(
      ({ capabilities }) => capabilities.shared,
      'another client sees the same queues',
      async (channel, subject) => {
        const { second } = subject;
        holds(second, 'a shared transport is tested with a second client');
        const to = fresh();
        await channel.declare(to);
        const connection = await second.connect();
        try {
          const inbox = await Inbox.open(await connection.channel(), to);
          await channel.publish(message('across'), { exchange: '', routingKey: to.name });
          await inbox.waitFor(1);
          await inbox.deliveries[0]?.ack();
          equal(await channel.size(to.name), 0, 'size');
        } finally {
          await connection.close();
        }
      },
    );
  });
}
