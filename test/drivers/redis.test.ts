import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { exchange, queue as makeQueue } from '../../src/messaging/entity.ts';
import { controlExchange, nodeQueue, replyExchange, replyQueue } from '../../src/messaging/pidbox.ts';
import type { Delivery } from '../../src/transports/transport.ts';
import {
  collect,
  freePort,
  message,
  queue,
  recordingLog,
  type RedisServer,
  startRedis,
  text,
  to,
  transport,
  until,
} from './redis-support.ts';
import { describe, test } from './redis-suite.ts';

let server: RedisServer;
let raw: Redis;

beforeAll(async () => {
  server = await startRedis();
  raw = server.client();
});
afterAll(() => server.stop());
beforeEach(() => raw.flushall());

const VARIANTS: [string, number, Record<string, unknown>][] = [
  ['plain', 0, {}],
  ['with global_keyprefix', 0, { global_keyprefix: '{tenant}:' }],
  ['in database 5', 5, {}],
];

describe.each(VARIANTS)('queues, %s', (_, db, options) => {
  test('messages come in order, are registered as kombu does, and forgotten when acknowledged', async () => {
    await using connection = await transport(server.url(db), options).connect();
    await using channel = await connection.channel();
    const look = server.client(db);
    const prefix = String(options['global_keyprefix'] ?? '');
    for (const body of ['1', '2', '3']) await channel.publish(message(body), to('q'));
    expect(await channel.size('q')).toBe(3);
    const stored = await look.lrange(`${prefix}q`, 0, -1);

    const { deliveries, texts } = await collect(connection, 'q');
    await until(() => deliveries.length === 3, 'three deliveries');
    expect(texts()).toEqual(['1', '2', '3']);
    const tag = String(deliveries[0]?.deliveryTag);
    expect(await look.hget(`${prefix}unacked`, tag)).toBe(`[${stored[2]}, "", "q"]`);
    const score = Number(await look.zscore(`${prefix}unacked_index`, tag));
    const [seconds] = await look.time();
    expect(Math.abs(score - Number(seconds))).toBeLessThan(10);

    await Promise.all(deliveries.map((delivery) => delivery.ack()));
    expect(await look.exists(`${prefix}unacked`, `${prefix}unacked_index`)).toBe(0);
    expect(await look.keys('*')).toEqual([`${prefix}celeriac:workers`]);
  });

  test('broadcasts and replies travel', async () => {
    const broker = transport(server.url(db), options);
    await using worker = await broker.connect();
    await using client = await broker.connect();
    await using mailbox = await worker.channel();
    await using asking = await client.channel();
    const requests: Delivery[] = [];
    const node = nodeQueue('w@h', 'celery');
    await mailbox.declare(node);
    await mailbox.consume(node, (delivery) => requests.push(delivery), { prefetch: 0, noAck: true });
    const replies: Delivery[] = [];
    const inbox = replyQueue('oid', 'celery');
    await asking.declare(inbox);
    const reading = await asking.consume(inbox, (delivery) => replies.push(delivery), { prefetch: 0, noAck: true });
    await asking.declare(controlExchange('celery'));
    await asking.publish(message('"ping"'), { exchange: 'celery.pidbox', routingKey: '' });
    await until(() => requests.length === 1, 'the request');
    await mailbox.declare(replyExchange('celery'));
    await mailbox.publish(message('"pong"'), { exchange: 'reply.celery.pidbox', routingKey: 'oid' });
    await until(() => replies.length === 1, 'the reply');
    expect(requests[0]?.queue).toBe('w@h.celery.pidbox');
    expect(replies.map(text)).toEqual(['"pong"']);
    await reading.cancel();
    await mailbox.close();
    expect(await server.client(db).keys('*_kombu*')).toEqual([]);
  });
});

test('the priorities of kombu: four lists, the lowest number first', async () => {
  await using connection = await transport(server.url()).connect();
  await using channel = await connection.channel();
  for (const priority of [9, 6, 3, 0, 10, 5, 1]) {
    await channel.publish(message(String(priority), { priority }), to('q'));
  }
  expect((await raw.keys('q*')).toSorted()).toEqual(['q', 'q\x06\x163', 'q\x06\x166', 'q\x06\x169']);
  const { texts } = await collect(connection, 'q');
  await until(() => texts().length === 7, 'all of them');
  expect(texts()).toEqual(['0', '1', '3', '5', '6', '9', '10']);
});

test('an idle consumer wakes for every priority at once', async () => {
  await using connection = await transport(server.url()).connect();
  await using channel = await connection.channel();
  const { texts } = await collect(connection, 'q', { ack: true });
  for (const priority of [9, 0, 3, 6]) {
    const count = texts().length + 1;
    await channel.publish(message(String(priority), { priority }), to('q'));
    await until(() => texts().length === count, `priority ${priority}`, 900);
  }
});

test('a message on its own costs one claim and one acknowledgement', async () => {
  await using connection = await transport(server.url()).connect();
  await using channel = await connection.channel();
  const { deliveries } = await collect(connection, 'q', { ack: true });
  const scripts = async (): Promise<number> =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(await raw.info('commandstats'))?.[1] ?? 0);
  const one = async (n: number): Promise<void> => {
    await channel.publish(message(String(n)), to('q'));
    await until(async () => deliveries.length === n && (await raw.hlen('unacked')) === 0, `acknowledgement ${n}`);
  };
  // The first of a quiet queue finds watchers that are still to be made.
  for (let n = 1; n <= 3; n++) await one(n);
  const before = await scripts();
  for (let n = 4; n <= 53; n++) await one(n);
  // Beside those two: the sign of life, once a second.
  expect((await scripts()) - before).toBeLessThan(50 * 2.5);
});

test('prefetch bounds what is held; zero does not', async () => {
  await using connection = await transport(server.url()).connect();
  await using channel = await connection.channel();
  await Promise.all(Array.from({ length: 10 }, (_, i) => channel.publish(message(String(i)), to('q'))));
  const held: Delivery[] = [];
  const consumer = await channel.consume(queue('q'), (delivery) => held.push(delivery), { prefetch: 2 });
  await until(() => held.length === 2, 'two');
  await held[0]?.ack();
  await until(() => held.length === 3, 'a third for the first');
  expect(await channel.size('q')).toBe(7);
  await consumer.setPrefetch(0);
  await until(() => held.length === 10, 'the rest');
});

test('what is claimed ahead of a batch stays within the window, in order', async () => {
  await using connection = await transport(server.url()).connect();
  await using channel = await connection.channel();
  const texts = Array.from({ length: 700 }, (_, i) => String(i));
  for (const one of texts) await channel.publish(message(one), to('q'));
  const held: Delivery[] = [];
  await channel.consume(queue('q'), (delivery) => held.push(delivery), { prefetch: 450 });
  await until(() => held.length === 450, 'a full window');
  expect(await channel.size('q')).toBe(250);
  await Promise.all(held.slice(0, 300).map((delivery) => delivery.ack()));
  await until(() => held.length === 700, 'the rest');
  expect(held.map((delivery) => Buffer.from(delivery.message.body).toString())).toEqual(texts);
});

test('requeued messages are served last, those of a closing channel first, marked as kombu marks them', async () => {
  const vector = JSON.parse(
    readFileSync(new URL('../vectors/5.6/redis_state/restore.json', import.meta.url), 'utf8'),
  ) as { raw: { commands: { command: string[] }[] } };
  const restored = vector.raw.commands.find(({ command }) => command[0] === 'RPUSH')?.command[2] ?? '';
  const original = restored.replaceAll(', "redelivered": true', '');
  expect(original).not.toBe(restored);
  await raw.lpush('celery', original);
  await using connection = await transport(server.url()).connect();
  await using channel = await connection.channel();
  const first: Delivery[] = [];
  await channel.consume(queue('celery'), (delivery) => first.push(delivery), { prefetch: 1 });
  await until(() => first.length === 1, 'the message');
  await channel.close();
  // Byte for byte what Python's restore writes.
  expect(await raw.lrange('celery', 0, -1)).toEqual([restored]);

  await using again = await connection.channel();
  await again.publish(message('2'), to('celery'));
  const second: Delivery[] = [];
  const consumer = await again.consume(queue('celery'), (delivery) => second.push(delivery), { prefetch: 1 });
  await until(() => second.length === 1, 'it comes again');
  expect(second[0]).toMatchObject({ redelivered: true, deliveryCount: 1 });
  await consumer.cancel();
  await second[0]?.reject({ requeue: true });
  const [last, next] = await raw.lrange('celery', 0, -1);
  expect(last).toBe(restored);
  expect(next).toContain('"delivery_tag"');
  expect(await raw.exists('unacked', 'unacked_index')).toBe(0);
});

test('topic patterns match as kombu matches them, not as AMQP does', async () => {
  await using connection = await transport(server.url()).connect();
  await using channel = await connection.channel();
  const topic = exchange('kombu', { type: 'topic' });
  const bindings: [string, string][] = [
    ['star', 'a.*'],
    ['hash', 'a.#'],
  ];
  for (const [name, routingKey] of bindings) await channel.declare(makeQueue(name, { exchange: topic, routingKey }));
  for (const routingKey of ['a', 'a.b', 'a.b.c', 'a.']) {
    await channel.publish(message(routingKey), { exchange: 'kombu', routingKey });
  }
  const got: Record<string, string[]> = { star: [], hash: [] };
  for (const [name] of bindings) {
    for (let next = await channel.get(name); next; next = await channel.get(name)) got[name]?.push(text(next));
  }
  expect(got).toEqual({ star: ['a.b', 'a.b.c'], hash: ['a.b', 'a.b.c', 'a.'] });
});

test('texts that are no messages are set aside and stop nobody', async () => {
  const log = recordingLog();
  const valid = {
    body: 'MQ==',
    headers: {},
    properties: { delivery_tag: 't', delivery_info: { exchange: '', routing_key: 'q' } },
  };
  const poison = [
    'garbage',
    '{"body": "',
    '[]',
    '42',
    '{}',
    JSON.stringify({ ...valid, properties: { delivery_tag: 't' } }),
    JSON.stringify({ ...valid, headers: 'text' }),
    '{"body": "" nonsense "delivery_info": {"exchange": "", "routing_key": "q"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "x-1"}}',
  ];
  const nullHeaders = JSON.stringify({
    ...valid,
    headers: null,
    properties: { ...valid.properties, delivery_tag: 'repaired', body_encoding: 'base64' },
  });
  await raw.lpush('q', ...poison, nullHeaders);
  await using connection = await transport(server.url(), {}, log).connect();
  const { deliveries, texts } = await collect(connection, 'q');
  await until(() => texts().length === 1, 'the one that can be read');
  expect(texts()).toEqual(['1']);
  expect(JSON.parse((await raw.hget('unacked', 'repaired')) ?? '')).toMatchObject([{ headers: {} }, '', 'q']);
  await until(async () => (await raw.llen('celeriac:quarantine:q')) === poison.length, 'all of them set aside');
  expect((await raw.lrange('celeriac:quarantine:q', 0, -1)).toSorted()).toEqual(poison.toSorted());
  expect(await raw.hkeys('unacked')).toEqual(['repaired']);
  expect(await raw.pttl('celeriac:quarantine:q')).toBeGreaterThan(0);
  await deliveries[0]?.ack();
  expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(poison.length);
});

test('a key of another type cancels its consumer and leaves the others alone', async () => {
  await raw.set('broken', 'text');
  await using connection = await transport(server.url()).connect();
  await using channel = await connection.channel();
  const reasons: Error[] = [];
  await channel.consume(queue('broken'), () => {}, { prefetch: 1, onCancel: (reason) => reasons.push(reason) });
  const { texts } = await collect(connection, 'sound');
  await until(() => reasons.length === 1, 'the cancellation');
  expect(reasons[0]?.message).toMatch(/"broken" cannot be read.*WRONGTYPE/);
  await channel.publish(message('1'), to('sound'));
  await until(() => texts().length === 1, 'the sound queue');
  await expect(channel.publish(message('1'), to('broken'))).rejects.toMatchObject({ code: 'ERR_CHANNEL' });
});

test('direct and topic exchanges reach the queues bound by anybody, each with a tag of its own', async () => {
  const broker = transport(server.url());
  await using binding = await broker.connect();
  await using sending = await broker.connect();
  await using declaring = await binding.channel();
  const topic = exchange('logs', { type: 'topic' });
  await declaring.declare(makeQueue('qt', { exchange: topic, routingKey: 'a.*.c' }));
  await declaring.declare(makeQueue('all', { exchange: topic, routingKey: '#' }));
  expect((await raw.smembers('_kombu.binding.logs')).toSorted()).toEqual([
    '#\x06\x16^.*?$\x06\x16all',
    'a.*.c\x06\x16^a\\..*?[^\\.]\\.c$\x06\x16qt',
  ]);
  await using channel = await sending.channel();
  await channel.publish(message('1'), { exchange: 'logs', routingKey: 'a.b.c' });
  await channel.publish(message('2'), { exchange: 'logs', routingKey: 'x' });
  expect([await channel.size('qt'), await channel.size('all')]).toEqual([1, 2]);
  const [one, two] = [await channel.get('qt'), await channel.get('all')];
  expect(one?.deliveryTag).not.toBe(two?.deliveryTag);
  expect(one).toMatchObject({ exchange: 'logs', routingKey: 'a.b.c', queue: 'qt' });
  await channel.publish(message('3'), { exchange: 'nowhere', routingKey: 'x' });
  const mandatory = channel.publish(message('3'), { exchange: 'nowhere', routingKey: 'x' }, { mandatory: true });
  await expect(mandatory).rejects.toThrow(/no queue is bound/);
  // A flushed binding set is written again by whoever declared it.
  await raw.del('_kombu.binding.logs');
  await declaring.publish(message('4'), { exchange: 'logs', routingKey: 'x' });
  expect(await raw.scard('_kombu.binding.logs')).toBe(2);
});

test('get, purge and delete', async () => {
  await using connection = await transport(server.url()).connect();
  await using channel = await connection.channel();
  expect(await channel.get('q')).toBeUndefined();
  await channel.declare(makeQueue('q', { exchange: exchange('ex'), routingKey: 'rk' }));
  for (const priority of [0, 9]) await channel.publish(message('x', { priority }), to('q'));
  const delivery = await channel.get('q');
  await delivery?.reject({ requeue: true });
  expect(await channel.purge('q')).toBe(2);
  expect(await channel.size('unknown')).toBe(0);
  await channel.publish(message('x'), { exchange: 'ex', routingKey: 'rk' });
  await channel.deleteQueue('q');
  expect(await raw.exists('q', '_kombu.binding.ex')).toBe(0);
});

test('delayed messages come when they are due, with their priority, and survive their publisher', async () => {
  const broker = transport(server.url());
  const sender = await broker.connect();
  const sending = await sender.channel();
  await sending.publish(message('late', { priority: 3 }), to('q'), { delayMs: 700 });
  await sending.publish(message('soon'), to('q'), { delayMs: 200 });
  await sender.close();
  expect(await raw.zcard('celeriac:delayed')).toBe(2);
  await using connection = await broker.connect();
  const { texts } = await collect(connection, 'q', { ack: true });
  expect(texts()).toEqual([]);
  await until(() => texts().length === 2, 'both');
  expect(texts()).toEqual(['soon', 'late']);
  expect(await raw.exists('celeriac:delayed', 'celeriac:delayed:messages')).toBe(0);
});

test('noAck consumers leave nothing behind', async () => {
  await using connection = await transport(server.url()).connect();
  await using channel = await connection.channel();
  await channel.publish(message('1'), to('q'));
  const got: Delivery[] = [];
  await channel.consume(queue('q'), (delivery) => got.push(delivery), { prefetch: 1, noAck: true });
  await until(() => got.length === 1, 'the message');
  expect(await raw.exists('unacked', 'unacked_index')).toBe(0);
  expect(got[0]?.held()).toBe(true);
});

test('a unix socket, an ACL user and a credential provider', async () => {
  await raw.call('ACL', 'SETUSER', 'app', 'on', '>s3cret/', '~*', '&*', '+@all', '-@dangerous');
  const urls: [string, Record<string, unknown>][] = [
    [`redis+socket://${join(server.dir, 'sock')}?virtual_host=5`, {}],
    [`redis://app:${encodeURIComponent('s3cret/')}@127.0.0.1:${server.port}/5`, {}],
    [server.url(5), { credential_provider: async () => ({ username: 'app', password: 's3cret/' }) }],
  ];
  for (const [url, options] of urls) {
    await using connection = await transport(url, options).connect();
    await using channel = await connection.channel();
    await channel.publish(message('1'), to('q'));
    const { texts } = await collect(connection, 'q', { ack: true });
    await until(() => texts().length === 1, url);
  }
  expect(await raw.dbsize()).toBe(0);
  const refused = transport(`redis://app:wrong@127.0.0.1:${server.port}/0`).connect();
  await expect(refused).rejects.toMatchObject({ code: 'ERR_OPERATIONAL', recoverable: false });
  await expect(transport(server.url(99)).connect()).rejects.toThrow(/DB index is out of range/);
  await expect(transport('redis://127.0.0.1:1/0').connect()).rejects.toThrow(/cannot connect to Redis.*ECONNREFUSED/);
});

test('TLS: the certificate is checked unless somebody says no', async () => {
  const dir = server.dir;
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    ...subject,
    '-keyout',
    'key.pem',
    '-out',
    'cert.pem',
  );
  const port = await freePort();
  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const secure = await startRedis([
    '--tls-port',
    String(port),
    '--tls-cert-file',
    cert,
    '--tls-key-file',
    key,
    '--tls-ca-cert-file',
    cert,
    '--tls-auth-clients',
    'no',
  ]);
  try {
    await expect(transport(`rediss://localhost:${port}/0`).connect()).rejects.toThrow(/self-signed certificate/);
    for (const query of [`ssl_ca_certs=${cert}`, 'ssl_cert_reqs=CERT_NONE']) {
      await using connection = await transport(`rediss://localhost:${port}/0?${query}`).connect();
      await using channel = await connection.channel();
      await channel.publish(message('1'), to('q'));
    }
  } finally {
    await secure.stop();
  }
});
