import { expect, test } from 'vitest';
import { silentLogger } from '../runtime/logger.ts';
import { until } from '../../test/support/until.ts';
import { ChannelError, ContentDisallowed, DecodeError, OperationalError, UsageError } from '../errors.ts';
import { binding, Connection, Empty, exchange, queue, type Message } from './index.ts';

const open = (): Connection => new Connection('memory://');

test('a message goes through an exchange to the queues that its routing key reaches', async () => {
  await using connection = open();
  const news = exchange('news', { type: 'topic' });
  const sport = queue('sport', { exchange: news, routingKey: 'sport.#' });
  const all = queue('all', { exchange: news, routingKey: '#' });
  await connection.declare(sport, all);
  const producer = connection.producer({ exchange: news });
  await producer.publish({ goals: 3 }, { routingKey: 'sport.football', headers: { by: 'ann' }, priority: 4 });
  await producer.publish('rain', { routingKey: 'weather' });

  const [first] = await received(connection, sport, 1);
  expect(first).toMatchObject({
    payload: { goals: 3 },
    contentType: 'application/json',
    headers: { by: 'ann' },
    properties: { priority: 4, deliveryMode: 2 },
    deliveryInfo: { queue: 'sport', exchange: 'news', routingKey: 'sport.football' },
    redelivered: false,
    acknowledged: true,
  });
  // In memory, as on Redis, priority 0 goes first.
  expect((await received(connection, all, 2)).map(({ payload }) => payload)).toEqual(['rain', { goals: 3 }]);
});

async function received<T>(connection: Connection, from: Parameters<Connection['get']>[0], count: number) {
  const consumer = connection.consumer<T>(from);
  const messages: Message<T>[] = [];
  for await (const message of consumer.drain({ limit: count })) {
    await message.ack();
    messages.push(message);
  }
  await consumer.cancel();
  return messages;
}

test('texts and bytes go as they are unless a serializer is named', async () => {
  await using connection = open();
  const q = queue('mixed');
  const producer = connection.producer({ routingKey: 'mixed' });
  await connection.declare(q);
  await producer.publish('text');
  await producer.publish('text', { serializer: 'json' });
  await producer.publish(Buffer.from([0, 255]));
  await producer.publish('<a/>', { contentType: 'application/xml' });
  await producer.publish({ a: 1 }, { compression: 'gzip' });
  const messages = await received(connection, q, 5);
  expect(messages.map(({ contentType, contentEncoding }) => `${contentType} ${contentEncoding}`)).toEqual([
    'text/plain utf-8',
    'application/json utf-8',
    'application/data binary',
    'application/xml utf-8',
    'application/json utf-8',
  ]);
  expect(messages.map(({ payload }) => payload)).toEqual(['text', 'text', Buffer.from([0, 255]), '<a/>', { a: 1 }]);
  await expect(producer.publish({ a: 1 }, { contentType: 'application/xml' })).rejects.toThrow(
    'expected text or bytes',
  );
});

test('what was read and not acknowledged goes back when the consumer ends', async () => {
  await using connection = open();
  const q = queue('jobs');
  for (const n of [1, 2, 3]) await connection.producer().publish(n, { routingKey: 'jobs', declare: [q] });
  const consumer = connection.consumer<number>(q);
  await (await consumer.next())?.ack();
  expect((await consumer.next())?.payload).toBe(2);
  await consumer.cancel();
  expect(await consumer.next()).toBeUndefined();
  const again = await received<number>(connection, q, 2);
  expect(again.map(({ payload, redelivered }) => [payload, redelivered])).toEqual([
    [2, true],
    [3, true],
  ]);
});

test('a body that cannot be read is rejected, and the next one arrives', async () => {
  await using connection = open();
  const q = queue('bad');
  const errors: Error[] = [];
  const bodies: unknown[] = [];
  const producer = connection.producer({ routingKey: 'bad' });
  await connection.declare(q);
  await producer.publish('{', { contentType: 'application/json' });
  await producer.publish('a: 1', { contentType: 'application/x-yaml' });
  await producer.publish({ fine: true });
  const consumer = connection.consumer(q, {
    callbacks: [async (body, message) => void bodies.push(body, await message.ack())],
    onDecodeError: (message, error) => {
      errors.push(error);
      void message.reject();
    },
  });
  await consumer.consume();
  await until(() => bodies.length > 0);
  expect(bodies[0]).toEqual({ fine: true });
  expect(errors).toEqual([expect.any(DecodeError), expect.any(ContentDisallowed)]);
  await consumer.cancel();
  expect(await connection.size(q)).toBe(0);
});

test('with a list of accepted types nothing else is read', async () => {
  await using connection = open();
  const q = queue('picky');
  await connection.producer().publish('text', { routingKey: 'picky', declare: [q] });
  await expect(connection.get(q, { accept: ['json'] })).rejects.toThrow(ContentDisallowed);
  expect(await connection.get(q)).toBeUndefined();
  expect(() => connection.consumer(q, { accept: ['nothing'] })).toThrow('no serializer "nothing"');
});

test('a handler that throws ends the consumer, and its message goes back', async () => {
  await using connection = open();
  const q = queue('fragile');
  await connection.producer().publish('boom', { routingKey: 'fragile', declare: [q] });
  const failing = connection.consumer(q, {
    onMessage: ({ payload }) => {
      throw new RangeError(String(payload));
    },
  });
  await expect(failing.run()).rejects.toThrow(new RangeError('boom'));
  expect(await connection.size(q)).toBe(1);

  const told: unknown[] = [];
  const careful = connection.consumer(q, {
    onMessage: () => Promise.reject(new RangeError('again')),
    onError: (error, message) => void told.push(error, message.reject()),
  });
  await careful.consume();
  await until(() => told.length > 0);
  await careful.cancel();
  expect(told[0]).toEqual(new RangeError('again'));
  expect(await connection.size(q)).toBe(0);
});

test('cancelling waits for the handler that has its message, not for the one that cancels', async () => {
  await using connection = open();
  const q = queue('slow');
  for (const n of [1, 2]) await connection.producer().publish(n, { routingKey: 'slow', declare: [q] });
  let release!: () => void;
  const released = new Promise<void>((resolve) => (release = resolve));
  let handled = 0;
  const consumer = connection.consumer<number>(q, {
    onMessage: async (message) => {
      if (message.payload === 2) await released;
      await message.ack();
      handled++;
      if (message.payload === 1) await consumer.cancel();
    },
  });
  await consumer.consume();
  await until(() => handled === 1);
  expect(consumer.consumingFrom(q)).toBe(false);
  release();
  await until(() => handled === 2);
  await consumer.cancel();
  expect(await connection.size(q)).toBe(0);
});

test('run ends with its signal; a second queue joins and leaves meanwhile', async () => {
  await using connection = open();
  const [one, two] = [queue('one'), queue('two')];
  const seen: unknown[] = [];
  const stop = new AbortController();
  const consumer = connection.consumer(one, { noAck: true, onMessage: ({ payload }) => void seen.push(payload) });
  const running = consumer.run({ signal: stop.signal });
  await consumer.consume();
  await consumer.addQueue(two);
  await connection.producer().publish('b', { routingKey: 'two' });
  await until(() => seen.length === 1);
  await consumer.cancelByQueue('two');
  expect([consumer.consumingFrom('one'), consumer.consumingFrom(two)]).toEqual([true, false]);
  await consumer.flow(false);
  await connection.producer().publish('a', { routingKey: 'one' });
  expect(await connection.size(one)).toBe(1);
  await consumer.flow(true);
  await until(() => seen.length === 2);
  stop.abort();
  await running;
  await expect(consumer.consume()).rejects.toThrow(UsageError);
});

test('a reader holds no more than the window', async () => {
  await using connection = open();
  const q = queue('window');
  for (let n = 0; n < 10; n++) await connection.producer().publish(n, { routingKey: 'window', declare: [q] });
  const consumer = connection.consumer(q, { prefetchCount: 3, noAck: true });
  await consumer.consume();
  await until(() => consumer.buffered === 3);
  expect(await connection.size(q)).toBe(7);
  await consumer.next();
  await until(async () => (await connection.size(q)) === 6);
  await consumer.qos({ prefetchCount: 5 });
  await until(() => consumer.buffered === 5);
  const rest: unknown[] = [];
  for await (const { payload } of consumer.drain({ timeout: '200ms' })) rest.push(payload);
  expect(rest).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('a simple queue is used like a list', async () => {
  await using connection = open();
  await using list = connection.simpleQueue<{ n: number }>('list');
  await expect(list.getNowait()).rejects.toThrow(Empty);
  await expect(list.get({ timeout: '20ms' })).rejects.toMatchObject({ code: 'ERR_EMPTY' });
  for (let n = 0; n < 30; n++) await list.put({ n }, { headers: { n } });
  expect(await list.qsize()).toBe(30);
  // Not one is acknowledged: the window has to grow.
  const held: Message<{ n: number }>[] = [];
  for (let n = 0; n < 25; n++) held.push(await list.get({ timeout: '5s' }));
  expect(held.map(({ payload }) => payload.n)).toEqual([...Array(25).keys()]);
  expect(held[3]?.headers).toEqual({ n: 3 });
  await Promise.all(held.map((message) => message.ack()));
  expect(await list.qsize()).toBe(5);
  await (await list.get({ block: false })).ack();
  expect(await list.clear()).toBe(4);
  expect(await list.qsize()).toBe(0);
});

test('a simple buffer acknowledges by itself and keeps nothing', async () => {
  await using connection = open();
  const buffer = connection.simpleBuffer<string>('chat');
  await buffer.put('hi');
  expect(await buffer.get({ timeout: '5s' })).toMatchObject({ payload: 'hi', acknowledged: true });
  expect(buffer.queue).toMatchObject({ durable: false, autoDelete: true, exclusive: true });
  await buffer.close();
  expect(await connection.size(queue('chat'))).toBe(0);
});

test('an operation is tried again with a new connection, as often as the policy says', async () => {
  await using connection = open();
  const waits: number[] = [];
  let tries = 0;
  const flaky = connection.ensure(
    () => {
      tries++;
      return tries < 4 ? Promise.reject(new OperationalError('gone', { recoverable: true })) : Promise.resolve('done');
    },
    { intervalStart: 5, intervalStep: 10, intervalMax: 20, errback: (_error, waitMs) => void waits.push(waitMs) },
  );
  expect(await flaky).toBe('done');
  expect(waits).toEqual([5, 15, 20]);

  tries = 0;
  const failing = connection.ensure(
    () => {
      tries++;
      return Promise.reject(new OperationalError('gone', { recoverable: true }));
    },
    { maxRetries: 2, intervalStep: 1 },
  );
  await expect(failing).rejects.toThrow('gone');
  expect(tries).toBe(3);

  const hanging = connection.ensure(() => new Promise<void>(() => undefined), { timeout: '50ms' });
  await expect(hanging).rejects.toMatchObject({ code: 'ERR_BROKER_TIMEOUT' });
  const wrong = connection.ensure(() => Promise.reject(new ChannelError('no such queue')));
  await expect(wrong).rejects.toThrow(ChannelError);
});

test('a consumer goes on after its connection broke', async () => {
  const troubles: Error[] = [];
  await using connection = new Connection('memory://', { log: silentLogger });
  const q = queue('again');
  let revived = 0;
  const consumer = connection.consumer<string>(q, {
    onConnectionError: (error) => void troubles.push(error),
    onConnectionRevived: () => void revived++,
  });
  await consumer.consume();
  await connection.producer().publish('kept', { routingKey: 'again' });
  await until(() => consumer.buffered === 1);
  const link = await connection.open();
  connection.drop(link);
  await until(() => revived === 1);
  const message = await consumer.next('10s');
  expect(message).toMatchObject({ payload: 'kept', redelivered: true });
  await message?.ack();
  expect(troubles.length).toBe(1);
});

test('nothing works after close, and several connections may share one transport', async () => {
  const connection = open();
  const shared = new Connection(await connection.transport());
  await connection.producer().publish(1, { routingKey: 'q', declare: [queue('q')] });
  expect((await shared.get(queue('q'), { noAck: true }))?.payload).toBe(1);
  const waiting = connection.consumer(queue('q')).next();
  await connection.close();
  expect(await waiting).toBeUndefined();
  await expect(connection.producer().publish(1)).rejects.toThrow(UsageError);
  expect([connection.connected, shared.connected]).toEqual([false, true]);
  await shared.release();
  expect(await connection.asUri()).toBe('memory://');
  expect((await connection.info()).transport).toBe('memory');
});

test('a queue with several bindings', async () => {
  await using connection = open();
  const direct = exchange('letters');
  const q = queue('vowels', { bindings: ['a', 'e'].map((key) => binding('vowels', direct, key)) });
  await connection.declare(direct, q);
  const producer = connection.producer({ exchange: direct });
  for (const letter of ['a', 'b', 'e']) await producer.publish(letter, { routingKey: letter });
  expect(await connection.size(q)).toBe(2);
  await connection.deleteQueue(q);
  await connection.deleteExchange('letters');
  await expect(producer.publish('a', { routingKey: 'a', mandatory: true })).rejects.toThrow(ChannelError);
});
