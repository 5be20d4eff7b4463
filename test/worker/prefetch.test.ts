import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Celery, queue, type CeleryOptions } from '../../src/index.ts';
import { Worker, type WorkerOptions } from '../../src/worker/index.ts';
import type { Channel } from '../../src/transports/transport.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { faultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { startRabbit, type RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';

/*
 * How many messages a worker takes from a real broker, seen from the broker: what it has left (W-3, W-5, W-6, W-12, W-13).
 */

interface Broker {
  readonly url: string;
  /** What the broker is behind, where it can be cut off. */
  readonly proxy?: FaultProxy | undefined;
}

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** Tasks that run until they are let go. */
class Gates {
  readonly running: string[] = [];
  readonly began: string[] = [];
  readonly #open = new Map<string, () => void>();

  wait(id: string): Promise<void> {
    this.running.push(id);
    this.began.push(id);
    return new Promise((resolve) => this.#open.set(id, resolve));
  }

  /** Lets the oldest, or this one, end. */
  release(id = this.running[0] as string): void {
    this.running.splice(this.running.indexOf(id), 1);
    this.#open.get(id)?.();
    this.#open.delete(id);
  }

  releaseAll(): void {
    for (const id of [...this.running]) this.release(id);
  }
}

interface Bench {
  readonly app: Celery;
  readonly worker: Worker;
  readonly gates: Gates;
  /** Messages that wait in the broker, in all queues named. */
  left(...queues: string[]): Promise<number>;
  send(count: number, options?: { readonly queue?: string; readonly countdown?: '20m' }): Promise<void>;
}

async function bench(
  broker: Broker,
  directUrl: string,
  options: WorkerOptions,
  settings: CeleryOptions & { readonly acksLate?: boolean } = {},
): Promise<Bench> {
  const { acksLate = true, ...conf } = settings;
  const app = new Celery({ broker: broker.url, backend: 'disabled://', env: {}, etaHorizon: null, ...conf });
  const producer = new Celery({ broker: directUrl, backend: 'disabled://', env: {} });
  const gates = new Gates();
  app.task('hold', { ignoreResult: true, acksLate }, (id: string) => gates.wait(id));
  const worker = new Worker(app, { hostname: 'w@prefetch', ...options });
  closers.push(
    () => app.close(),
    () => producer.close(),
    () => worker.stop('cold'),
    () => gates.releaseAll(),
  );
  await worker.start();
  const connection = await (await producer.transport()).connect();
  closers.push(() => connection.close());
  const channel = await connection.channel();
  let sent = 0;
  return {
    app,
    worker,
    gates,
    left: (...queues) => total(channel, queues),
    send: async (count, how = {}) => {
      for (let i = 0; i < count; i++) await producer.send('hold', [`t${sent++}`], how);
    },
  };
}

async function total(channel: Channel, queues: readonly string[]): Promise<number> {
  let sum = 0;
  for (const name of queues.length === 0 ? ['celery'] : queues) sum += await channel.size(name);
  return sum;
}

/** The number is reached, and is not left again in the next turns. */
async function settlesAt(expected: number, read: () => Promise<number>, message: string): Promise<void> {
  let calm = 0;
  let last = Number.NaN;
  const check = async (): Promise<boolean> => {
    last = await read();
    calm = last === expected ? calm + 1 : 0;
    await turn();
    return calm === 20;
  };
  await until(check, { message, timeoutMs: 30_000 }).catch((error: Error) => {
    throw new Error(`${error.message}: ${last} instead of ${expected}`, { cause: error });
  });
}

function suite(name: string, why: string | undefined, open: () => Promise<{ broker: Broker; direct: string }>): void {
  describe.skipIf(why !== undefined)(`${name}${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
    test('W-3: it takes slots times multiplier, over all its queues together', async () => {
      const { broker, direct } = await open();
      const taskQueues = [queue('one'), queue('two')];
      const { send, left, gates } = await bench(
        broker,
        direct,
        { concurrency: 2, prefetchMultiplier: 3, queues: ['one', 'two'] },
        { taskQueues },
      );
      for (let i = 0; i < 8; i++) {
        await send(1, { queue: 'one' });
        await send(1, { queue: 'two' });
      }
      await settlesAt(10, () => left('one', 'two'), 'a window of six');
      gates.release();
      await settlesAt(9, () => left('one', 'two'), 'one for each that ended');
    });

    test('W-3: a multiplier of zero takes everything', async () => {
      const { broker, direct } = await open();
      const { send, left } = await bench(broker, direct, { concurrency: 1, prefetchMultiplier: 0 });
      await send(30);
      await settlesAt(0, left, 'nothing is left');
    });

    test('W-5: no more wait here for their ETA than workerEtaTaskLimit', async () => {
      const { broker, direct } = await open();
      const { app, send, left, worker, gates } = await bench(
        broker,
        direct,
        { concurrency: 2, prefetchMultiplier: 1 },
        { workerEtaTaskLimit: 5, etaHorizon: 3_600 },
      );
      await send(20, { countdown: '20m' });
      await until(() => worker.vitals?.held === 5, { message: 'as many as it may hold' });
      if ((await app.transport()).capabilities.delay === 'native') {
        // Others are kept by the broker: what comes behind them is reached.
        await send(1);
        await until(() => gates.running.length === 1, { message: 'one runs', timeoutMs: 30_000 });
      } else {
        await settlesAt(15, left, 'the others stay in their queue');
      }
      expect(worker.vitals?.held).toBe(5);
    });

    test.each([true, false])('W-6: without prefetch, a busy worker takes nothing (acksLate %s)', async (acksLate) => {
      const { broker, direct } = await open();
      const { send, left, gates } = await bench(
        broker,
        direct,
        { concurrency: 2 },
        { acksLate, workerDisablePrefetch: true },
      );
      await send(6);
      await until(() => gates.running.length === 2, { message: 'two run' });
      await settlesAt(4, left, 'the rest is left to others');
      gates.release();
      await until(() => gates.running.length === 2, { message: 'a free slot takes the next' });
      await settlesAt(3, left, 'and no other');
      gates.releaseAll();
      await until(() => gates.began.length === 5, { message: 'two more' });
      await settlesAt(1, left, 'one is left');
    });
  });
}

const folder = mkdtempSync(join(tmpdir(), 'celeriac-prefetch-'));
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
let files = 0;
suite('SQLite', undefined, async () => {
  const url = `sqlite:///${join(folder, `broker${files++}.db`)}`;
  return { broker: { url }, direct: url };
});

let redis: RedisServer | undefined;
let database = 0;
async function openRedis(): Promise<{ broker: Broker; direct: string }> {
  const server = (redis ??= await startRedis());
  const proxy = await faultProxy(server.port);
  closers.push(() => proxy.close());
  const direct = server.url(database);
  return { broker: { url: `redis://127.0.0.1:${proxy.port}/${database++}`, proxy }, direct };
}
afterAll(() => redis?.stop());

const noRedis = missing('redis');
suite('Redis', noRedis, openRedis);

let rabbit: RabbitServer | undefined;
async function openRabbit(): Promise<{ broker: Broker; direct: string }> {
  const server = rabbit as RabbitServer;
  const proxy = await faultProxy(server.port);
  closers.push(() => proxy.close());
  const direct = await server.vhost();
  return { broker: { url: direct.replace(`:${server.port}/`, `:${proxy.port}/`), proxy }, direct };
}
const noRabbit = missing('rabbitmq');
beforeAll(async () => {
  if (noRabbit === undefined) rabbit = await startRabbit();
});
afterAll(() => rabbit?.stop());

suite('RabbitMQ', noRabbit, openRabbit);

const cuttable = [
  ['Redis', noRedis, openRedis],
  ['RabbitMQ', noRabbit, openRabbit],
] as const;

for (const [name, why, open] of cuttable) {
  describe.skipIf(why !== undefined)(`a connection to ${name} that is lost`, () => {
    // Late: RabbitMQ hands the three out again, they go on and count as before. Redis lets them be.
    test.each([
      { acksLate: true, before: 14, reduced: name === 'Redis' ? 15 : 14, after: 11 },
      { acksLate: false, before: 11, reduced: 15, after: 8 },
    ])('W-13: the window is smaller by what still runs, and grows back (acksLate $acksLate)', async (expected) => {
      const { acksLate, before, reduced, after } = expected;
      const { broker, direct } = await open();
      const options = { concurrency: 3, prefetchMultiplier: 2 };
      const { send, left, gates, worker } = await bench(broker, direct, options, { acksLate });
      await send(20);
      await settlesAt(before, left, 'three run, the window of six is full');
      await until(() => gates.running.length === 3, { message: 'three run' });
      const first = [...gates.running];
      broker.proxy?.reset();
      await until(() => (worker.vitals?.connects ?? 0) > 1 && worker.isConsuming, { message: 'it consumes again' });
      await settlesAt(reduced, left, 'three that run, and a window of one slot');
      for (const id of first) gates.release(id);
      await until(() => gates.began.length === 6, { message: 'the next three run' });
      await settlesAt(after, left, 'the whole window again');
      expect(new Set(gates.began).size).toBe(6);
    });

    test('W-12: what ran before is never acknowledged in the name of what came after', async () => {
      const { broker, direct } = await open();
      const proxy = broker.proxy as FaultProxy;
      const { send, left, gates, worker } = await bench(broker, direct, { concurrency: 2, prefetchMultiplier: 1 });
      await send(1);
      await until(() => gates.running.length === 1, { message: 'the first runs' });
      proxy.mode = 'refuse';
      await until(() => !worker.isConsuming, { message: 'it noticed' });
      // Somebody else takes the first message, where the broker lets him, and there is another one for the next channel.
      const rival = new Celery({ broker: direct, backend: 'disabled://', env: {} });
      closers.push(() => rival.close());
      await using connection = await (await rival.transport()).connect();
      const taken = await (await connection.channel()).get('celery');
      await taken?.ack();
      await send(1);
      proxy.mode = 'pass';
      await until(() => gates.running.length === 2, { message: 'the second runs', timeoutMs: 30_000 });
      gates.release('t0');
      await until(() => worker.active === 1, { message: 'the first has ended' });
      expect(worker.vitals?.connects).toBe(2);
      // The second is still unsettled: a cold stop returns it. Acknowledged in its name, there were none left.
      await worker.stop('cold');
      await settlesAt(1, left, 'the second is back, the first is not');
    });
  });
}
