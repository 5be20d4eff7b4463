import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { CeleryError } from '../../src/errors.ts';
import { sleep, systemClock } from '../../src/runtime/clock.ts';
import type { Connection, Delivery, Transport } from '../../src/transports/transport.ts';
import {
  collect,
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
import { test } from './redis-suite.ts';

let server: RedisServer;
let raw: Redis;
const children: ChildProcess[] = [];
const workers: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  server = await startRedis(['--appendonly', 'yes', '--appendfsync', 'always']);
  raw = server.client();
});
afterAll(() => server.stop());
beforeEach(() => raw.flushall());
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

interface Holder {
  readonly child: ChildProcess;
  readonly said: string[];
}

/** Another process that consumes and settles when it is told to. */
function holder(options: Record<string, unknown>, most = 100, breakpoint?: string): Holder {
  const script = fileURLToPath(new URL('./redis-holder.ts', import.meta.url));
  const args = ['--import', 'tsx', script, server.url(), 'q', JSON.stringify(options), String(most)];
  const env = { ...process.env, ...(breakpoint !== undefined && { BREAKPOINT: breakpoint }) };
  const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const said: string[] = [];
  child.stdout.on('data', (chunk: Buffer) => said.push(...chunk.toString().trim().split('\n')));
  return { child, said };
}

/** What a worker does: connects, consumes, and starts over when the connection has closed. */
function supervise(
  broker: Transport,
  deliver: (delivery: Delivery) => void,
): { stop(): Promise<void>; closed: Error[] } {
  const closed: Error[] = [];
  let stopped = false;
  let connection: Connection | undefined;
  const run = async (): Promise<void> => {
    while (!stopped) {
      try {
        connection = await broker.connect();
        const channel = await connection.channel();
        await channel.consume(queue('q'), deliver, { prefetch: 10 });
        const error = await connection.closed;
        if (error) closed.push(error);
      } catch (error) {
        closed.push(error as Error);
        await sleep(systemClock, 20);
      }
    }
  };
  const running = run();
  const worker = {
    closed,
    stop: async () => {
      stopped = true;
      await connection?.close();
      await running;
    },
  };
  workers.push(worker);
  return worker;
}

async function publishAll(broker: Transport, count: number): Promise<void> {
  await using connection = await broker.connect();
  await using channel = await connection.channel();
  await Promise.all(Array.from({ length: count }, (_, i) => channel.publish(message(String(i)), to('q'))));
}

test('connections that are cut again and again lose nothing, and what runs meanwhile runs once', async () => {
  const broker = transport(server.url());
  const ended = new Map<string, number>();
  const worker = supervise(broker, (delivery) => {
    // Each takes longer than the pause between two cuts.
    void sleep(systemClock, 50)
      .then(() => delivery.held())
      .then(async (held) => {
        if (!held) return;
        ended.set(text(delivery), (ended.get(text(delivery)) ?? 0) + 1);
        await delivery.ack();
      })
      .catch(() => {});
  });
  await publishAll(broker, 300);
  for (let cut = 0; cut < 12; cut++) {
    const before = ended.size;
    await raw.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes').catch(() => {});
    await until(() => ended.size > before || ended.size === 300, 'progress after a cut');
  }
  await until(() => ended.size === 300, 'all of them');
  await until(async () => (await raw.hlen('unacked')) === 0, 'nothing is held');
  expect([...ended.values()].filter((times) => times > 1)).toEqual([]);
  expect(worker.closed.length).toBeGreaterThan(3);
  await worker.stop();
  expect(await raw.llen('q')).toBe(0);
});

test('a server that is killed and comes back keeps what was published, and is consumed again', async () => {
  const broker = transport(server.url());
  const ended = new Set<string>();
  const worker = supervise(broker, (delivery) => {
    void delivery.ack().then(
      () => ended.add(text(delivery)),
      () => {},
    );
  });
  await publishAll(broker, 100);
  await server.kill();
  const down = broker.connect();
  await expect(down).rejects.toMatchObject({ code: 'ERR_OPERATIONAL', recoverable: true });
  await server.restart();
  await publishAll(broker, 10);
  await until(() => ended.size === 100, 'all of them');
  await until(async () => (await raw.llen('q')) + (await raw.hlen('unacked')) === 0, 'nothing left');
  await worker.stop();
});

test('a frozen server is noticed on every socket, and publishers are told', async () => {
  const broker = transport(server.url(), { socket_timeout: 0.6, health_check_interval: 0.3 });
  const idle = await broker.connect();
  const consuming = await broker.connect();
  await collect(consuming, 'q');
  const channel = await idle.channel();
  await channel.publish(message('1'), to('other'));
  server.process.kill('SIGSTOP');
  try {
    const unanswered = channel.publish(message('2'), to('other'));
    await expect(unanswered).rejects.toMatchObject({ code: 'ERR_OPERATIONAL', recoverable: true });
    for (const connection of [idle, consuming]) expect((await connection.closed)?.message).toMatch(/has not answered/);
  } finally {
    server.process.kill('SIGCONT');
  }
  await idle.close();
});

test('messages of a process that was killed are taken over long before the visibility timeout', async () => {
  const options = { lease_ttl: 1.5, sweep_interval: 0.3 };
  const broker = transport(server.url(), options);
  await publishAll(broker, 20);
  const dead = holder(options);
  await until(() => dead.said.length === 20, 'the process holds all');
  dead.child.kill('SIGKILL');
  await using connection = await broker.connect();
  const { deliveries, texts } = await collect(connection, 'q');
  await until(() => deliveries.length === 20, 'the takeover');
  expect(texts().toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 20 }, (_, i) => String(i)));
  expect(new Set(deliveries.map(({ deliveryCount }) => deliveryCount))).toEqual(new Set([2]));
  await Promise.all(deliveries.map((delivery) => delivery.ack()));
  expect(await raw.exists('unacked')).toBe(0);
});

test('a process that dies between its claim and the answer loses nothing, time after time (users 3)', async () => {
  const options = { lease_ttl: 1.5, sweep_interval: 0.3 };
  const rounds = process.env['CELERIAC_CHAOS'] === 'full' ? 100 : 2;
  const broker = transport(server.url(), options);
  {
    await using connection = await broker.connect();
    await using channel = await connection.channel();
    await channel.publish(message('kept', { correlationId: 'the-breakpoint' }), to('q'));
  }
  for (let round = 0; round < rounds; round++) {
    const { child, said } = holder(options, 100, 'the-breakpoint');
    await until(() => child.exitCode !== null || child.signalCode !== null, 'it claims and dies', 60_000);
    expect([child.signalCode, said]).toEqual(['SIGKILL', []]);
    expect(await raw.hlen('unacked')).toBe(1);
  }
  await using connection = await broker.connect();
  const { deliveries, texts } = await collect(connection, 'q');
  await until(() => deliveries.length === 1, 'the takeover', 60_000);
  expect(texts()).toEqual(['kept']);
  // Those that died while they took it over from another did not have it.
  expect(deliveries[0]?.deliveryCount).toBeGreaterThan(1);
  await deliveries[0]?.ack();
  expect(await raw.exists('unacked')).toBe(0);
}, 1_200_000);

test('however many messages it held, all of them come back', async () => {
  const options = { lease_ttl: 1.5, sweep_interval: 0.3 };
  const count = 4_000;
  const broker = transport(server.url(), options);
  await publishAll(broker, count);
  const dead = holder(options, count);
  await until(async () => (await raw.hlen('unacked')) === count, 'the process holds all');
  dead.child.kill('SIGKILL');
  await using connection = await broker.connect();
  await collect(connection, 'other');
  await until(async () => (await raw.llen('q')) === count, 'all of them wait again');
  expect(await raw.exists('unacked')).toBe(0);
});

test('a process that was stopped for longer than its lease knows that it lost it, and cannot acknowledge', async () => {
  const options = { lease_ttl: 1.5, sweep_interval: 0.3 };
  const broker = transport(server.url(), options);
  const paused = holder(options);
  await publishAll(broker, 1);
  await until(() => paused.said.length === 1, 'the process holds it');
  paused.child.kill('SIGSTOP');
  await using connection = await broker.connect();
  const { deliveries } = await collect(connection, 'q');
  await until(() => deliveries.length === 1, 'the takeover');
  paused.child.kill('SIGCONT');
  paused.child.stdin?.write('\n');
  await until(() => paused.said.includes('acked'), 'its answer');
  expect(paused.said.slice(1)).toEqual(['held false', 'acked']);
  // The record is the new holder's.
  expect(await raw.hlen('unacked')).toBe(1);
  expect(await deliveries[0]?.held()).toBe(true);
  await deliveries[0]?.ack();
  expect(await raw.exists('unacked')).toBe(0);
});

test('what is held for longer than the visibility timeout stays held', async () => {
  const options = { visibility_timeout: 0.9, sweep_interval: 0.2 };
  const broker = transport(server.url(), options);
  await using connection = await broker.connect();
  await using peer = await broker.connect();
  await publishAll(broker, 1);
  const { deliveries } = await collect(connection, 'q');
  await until(() => deliveries.length === 1, 'the message');
  const tag = String(deliveries[0]?.deliveryTag);
  const others = await collect(peer, 'q');
  const first = Number(await raw.zscore('unacked_index', tag));
  await until(async () => Number(await raw.zscore('unacked_index', tag)) > first + 2.5, 'renewals');
  expect(others.deliveries).toEqual([]);
  await deliveries[0]?.ack();
  expect(await raw.exists('unacked')).toBe(0);
});

test("what a Python worker left behind is put back as Python's sweep does", async () => {
  const vector = JSON.parse(
    readFileSync(new URL('../vectors/5.6/redis_state/restore.json', import.meta.url), 'utf8'),
  ) as { raw: { commands: { command: string[] }[] } };
  const pushes = vector.raw.commands.filter(({ command }) => command[0] === 'RPUSH').map(({ command }) => command);
  const [, list = '', restored = ''] = pushes[0] ?? [];
  const original = restored.replaceAll(', "redelivered": true', '');
  const now = Number((await raw.time())[0]);
  await raw.hset('unacked', 'old', `[${original}, "", "${list}"]`, 'young', `[${original}, "", "${list}"]`);
  await raw.hset('unacked', 'broken', 'nonsense');
  await raw.zadd('unacked_index', now - 4000, 'old', now, 'young', now - 5000, 'broken', now - 5000, 'no-record');
  await raw.lpush(list, 'next');
  const options = { visibility_timeout: 3600, sweep_interval: 0.2, lease_ttl: 0.5 };
  await using connection = await transport(server.url(), options).connect();
  await collect(connection, 'q');
  await until(async () => (await raw.llen(list)) === 2, 'the restore');
  expect(await raw.lrange(list, 0, -1)).toEqual(['next', restored]);
  await until(async () => (await raw.zcard('unacked_index')) === 1, 'the rest');
  expect(await raw.hkeys('unacked')).toEqual(['young']);
  expect(await raw.lrange('celeriac:quarantine:unacked', 0, -1)).toEqual(['nonsense']);
  expect(await raw.exists('unacked_mutex')).toBe(0);
});

test('what was claimed for a connection that did not live to learn of it comes back at once', async () => {
  const broker = transport(server.url());
  const connection = await broker.connect();
  await collect(connection, 'other');
  const [id = ''] = await raw.zrange('celeriac:workers', '0', '-1');
  await publishAll(broker, 1);
  // As the claim script leaves it, without its answer.
  const envelope = (await raw.rpop('q')) ?? '';
  await raw.hset('unacked', 'tag', `[${envelope}, "", "q"]`);
  await raw.zadd('unacked_index', Number((await raw.time())[0]), 'tag');
  await raw.hset(`celeriac:owned:${id}`, 'tag', 'q');
  await raw.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  expect(CeleryError.is(await connection.closed)).toBe(true);
  await using next = await broker.connect();
  const { deliveries } = await collect(next, 'q', { ack: true });
  await until(() => deliveries.length === 1, 'the message', 3_000);
});

test('forgotten scripts are sent again', async () => {
  await using connection = await transport(server.url()).connect();
  await using channel = await connection.channel();
  const { texts } = await collect(connection, 'q', { ack: true });
  for (const body of ['1', '2', '3']) {
    await raw.script('FLUSH');
    await channel.publish(message(body), to('q'));
    await until(() => texts().includes(body), body);
  }
  await until(async () => (await raw.hlen('unacked')) === 0, 'acknowledged');
});

test('a full server refuses publishers with a typed error, and lets workers drain it', async () => {
  const broker = transport(server.url());
  await publishAll(broker, 200);
  await using sender = await broker.connect();
  await using channel = await sender.channel();
  await raw.config('SET', 'maxmemory', '1');
  try {
    const refused = channel.publish(message('x'), to('q'));
    await expect(refused).rejects.toMatchObject({ code: 'ERR_OPERATIONAL', recoverable: false });
    await using connection = await broker.connect();
    const { deliveries } = await collect(connection, 'q', { ack: true });
    await until(() => deliveries.length === 200, 'all of them');
    await until(async () => (await raw.hlen('unacked')) === 0, 'acknowledged');
  } finally {
    await raw.config('SET', 'maxmemory', '0');
  }
  await channel.publish(message('x'), to('q'));
});

test('a server that has become a replica ends the connection', async () => {
  const connection = await transport(server.url()).connect();
  const channel = await connection.channel();
  await raw.call('REPLICAOF', '127.0.0.1', '1');
  try {
    await expect(channel.publish(message('1'), to('q'))).rejects.toMatchObject({ recoverable: true });
    expect((await connection.closed)?.message).toMatch(/READONLY/);
  } finally {
    await raw.call('REPLICAOF', 'NO', 'ONE');
  }
});

test('sentinels lead to the new master', async () => {
  const master = await startRedis();
  const replica = await startRedis(['--replicaof', '127.0.0.1', String(master.port)]);
  const sentinels: RedisServer[] = [];
  try {
    for (let i = 0; i < 3; i++) {
      const config = join(master.dir, `sentinel-${i}.conf`);
      writeFileSync(
        config,
        [
          `sentinel monitor mymaster 127.0.0.1 ${master.port} 2`,
          'sentinel down-after-milliseconds mymaster 500',
          'sentinel failover-timeout mymaster 2000',
        ].join('\n'),
      );
      const port = 7160 + i;
      const command = ['redis-server', config, '--sentinel', '--port', String(port), '--bind', '127.0.0.1'];
      sentinels.push(await startRedis([], { port, command }));
    }
    const look = sentinels.map((one) => one.client());
    await until(async () => {
      const states = await Promise.all(
        look.map((one) => one.call('SENTINEL', 'CKQUORUM', 'mymaster').catch(String) as Promise<string>),
      );
      const replicas = (await look[0]?.call('SENTINEL', 'REPLICAS', 'mymaster')) as unknown[];
      return states.every((state) => state.startsWith('OK 3')) && replicas.length === 1;
    }, 'the sentinels agree');
    const url = sentinels.map(({ port }) => `sentinel://127.0.0.1:${port}/0`).join(';');
    const broker = transport(
      url,
      { master_name: 'mymaster', socket_timeout: 1, health_check_interval: 0.5 },
      recordingLog(),
    );
    const ended = new Set<string>();
    const worker = supervise(broker, (delivery) => {
      ended.add(text(delivery));
      void delivery.ack().catch(() => {});
    });
    await publishAll(broker, 10);
    await until(() => ended.size === 10, 'before the failover');
    await master.kill();
    await until(async () => {
      if (ended.has('after')) return true;
      try {
        await using connection = await broker.connect();
        await using channel = await connection.channel();
        await channel.publish(message('after'), to('q'));
      } catch {
        await sleep(systemClock, 100);
      }
      return ended.has('after');
    }, 'consuming from the new master');
    await worker.stop();
  } finally {
    for (const one of [...sentinels, replica, master]) await one.stop();
  }
}, 60_000);
