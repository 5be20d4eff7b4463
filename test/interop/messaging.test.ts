import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Connection, exchange, queue } from '../../src/messaging/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { pythonScript } from '../support/python.ts';
import { startRabbit, type RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';

const VALUES: readonly unknown[] = [
  { a: [1, 2.5, null, true], ключ: '✓' },
  ['list', [], {}],
  'plain text ✓',
  Buffer.from([0, 1, 254, 255]),
  { big: 2 ** 40 },
];

/** kombu's SimpleQueue reads what ours puts, and the other way round; then a message through a topic exchange. */
async function withKombu(url: string): Promise<void> {
  await using connection = new Connection(url);
  const mine = connection.simpleQueue('to-python');
  for (const [n, value] of VALUES.entries()) {
    await mine.put(value, n % 2 === 0 ? {} : { compression: 'bzip2' });
  }
  await mine.put('end');
  const seen = await pythonScript('simple_queue.py', { url, source: 'to-python', target: 'from-python' });
  expect(seen).toEqual([
    ['dict', VALUES[0]],
    ['list', VALUES[1]],
    ['str', VALUES[2]],
    ['bytes', '0001feff'],
    ['dict', VALUES[4]],
  ]);
  const theirs = connection.simpleQueue('from-python');
  const types = ['application/json', 'application/json', 'text/plain', 'application/data', 'application/json'];
  for (const [n, value] of VALUES.entries()) {
    const message = await theirs.get({ timeout: '20s' });
    expect(message.payload).toEqual(value);
    expect(message.headers).toMatchObject({ seen: types[n], n: n + 1 });
    await message.ack();
  }
  const video = queue('video', { exchange: exchange('media', { type: 'topic' }), routingKey: 'video.#' });
  const consumer = connection.consumer<{ name: string }>(video);
  const message = await consumer.next('20s');
  expect(message).toMatchObject({
    payload: { name: 'a.mp4' },
    properties: { priority: 3, correlationId: 'c1', replyTo: 'r1', expiration: '60000' },
    deliveryInfo: { exchange: 'media', routingKey: 'video.mp4' },
  });
  await message?.ack();
  await consumer.cancel();
  expect(await mine.qsize()).toBe(0);
  expect(await theirs.qsize()).toBe(0);
}

/** What is put while nobody reads, and read while others read too, arrives once. */
async function twoReaders(open: () => Connection): Promise<void> {
  await using one = open();
  await using two = open();
  const total = 60;
  const put = one.simpleQueue<number>('shared');
  for (let n = 0; n < total; n++) await put.put(n);
  const seen: number[] = [];
  const consumers = [one, two].map((connection) =>
    connection.consumer<number>(put.queue, {
      prefetchCount: 5,
      onMessage: async (message) => {
        await message.ack();
        seen.push(message.payload);
      },
    }),
  );
  await Promise.all(consumers.map((consumer) => consumer.consume()));
  await until(() => seen.length === total);
  await Promise.all(consumers.map((consumer) => consumer.cancel()));
  expect(seen.toSorted((a, b) => a - b)).toEqual([...Array(total).keys()]);
}

describe.skipIf(missing('redis') ?? missing('python'))('messaging on Redis', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis(['--appendonly', 'yes']);
  });
  afterAll(() => server?.stop());

  test('kombu reads what we put, and the other way round', () => withKombu(server.url(1)));
  test('two readers share a queue', () => twoReaders(() => new Connection(server.url(2))));

  test('a consumer and a producer go on when the server comes back', async () => {
    await using connection = new Connection(server.url(3));
    const failures: Error[] = [];
    const jobs = queue('jobs');
    const consumer = connection.consumer<number>(jobs, { onConnectionError: (error) => void failures.push(error) });
    const producer = connection.producer({ routingKey: 'jobs' });
    await producer.publish(1, { declare: [jobs] });
    await (await consumer.next('10s'))?.ack();
    await server.kill();
    const published = producer.publish(2, { retryPolicy: { maxRetries: null } });
    await until(() => failures.length > 0);
    await server.restart();
    await published;
    const message = await consumer.next('30s');
    expect(message?.payload).toBe(2);
    await message?.ack();
  });
});

describe.skipIf(missing('rabbitmq') ?? missing('python'))('messaging on RabbitMQ', () => {
  let server: RabbitServer;
  beforeAll(async () => {
    server = await startRabbit();
  });
  afterAll(() => server?.stop());

  test('kombu reads what we put, and the other way round', () => withKombu(server.url()));
  test('two readers share a queue', async () => {
    const url = server.url();
    await twoReaders(() => new Connection(url));
  });

  test('a simple buffer is exclusive, and gone afterwards', async () => {
    const url = server.url();
    await using connection = new Connection(url);
    const buffer = connection.simpleBuffer<string>('chat');
    await buffer.put('hi');
    expect(await buffer.get({ timeout: '10s' })).toMatchObject({ payload: 'hi', acknowledged: true });
    await using other = new Connection(url);
    await expect(other.declare(buffer.queue)).rejects.toMatchObject({ code: 'ERR_CHANNEL' });
    await buffer.close();
    await other.declare(queue('chat'));
  });

  test('a consumer goes on when the server closes its connection', async () => {
    await using connection = new Connection(server.url());
    const failures: Error[] = [];
    const jobs = queue('jobs');
    const consumer = connection.consumer<number>(jobs, { onConnectionError: (error) => void failures.push(error) });
    await consumer.consume();
    await server.ctl('close_all_connections', '--global', 'testing');
    await until(() => failures.length > 0);
    await connection.producer().publish(7, { routingKey: 'jobs' });
    const message = await consumer.next('30s');
    expect(message?.payload).toBe(7);
    await message?.ack();
    const lost = connection.producer().publish(1, { exchange: 'no-such', routingKey: 'x', retry: false });
    await expect(lost).rejects.toThrow("no exchange 'no-such'");
  });
});

test('two readers share a queue of an SQLite file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-messaging-'));
  const url = `sqlite:///${join(folder, 'broker.db')}`;
  try {
    await twoReaders(() => new Connection(url));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
