import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Celery, OperationalError, queue, WorkerLostError, type CeleryOptions } from '../../src/index.ts';
import { silentLogger, type Logger } from '../../src/runtime/logger.ts';
import type { Delivery } from '../../src/transports/transport.ts';
import { Worker, type WorkerOptions } from '../../src/worker/index.ts';
import { amqp } from '../drivers/amqp-support.ts';
import { missing } from '../support/available.ts';
import { faultProxy } from '../support/fault-proxy.ts';
import { Ledger } from '../support/ledger.ts';
import { startRabbit, type RabbitServer } from '../support/rabbitmq.ts';
import { storm, type Storm } from '../support/storm.ts';
import { until } from '../support/until.ts';

/*
 * Whole workers on a real RabbitMQ that misbehaves. `CELERIAC_CHAOS=full` runs the full durations.
 */

const full = process.env['CELERIAC_CHAOS'] === 'full';
const reason = missing('rabbitmq');
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const succeeds = (promise: Promise<unknown>): Promise<boolean> =>
  promise.then(
    () => true,
    () => false,
  );

describe.skipIf(reason !== undefined)(
  `chaos on RabbitMQ${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  { timeout: full ? 3_600_000 : 120_000 },
  () => {
    let server: RabbitServer;
    let broker: string;
    beforeAll(async () => {
      server = await startRabbit();
    });
    afterAll(() => server?.stop());
    const fresh = async (): Promise<string> => (broker = await server.vhost());
    const vhost = (): string => decodeURIComponent(new URL(broker).pathname.slice(1));

    function openApp(options: CeleryOptions = {}): Celery {
      const app = new Celery({ broker, backend: 'rpc://', env: {}, ...options });
      closers.push(() => app.close());
      return app;
    }

    async function work(app: Celery, options: WorkerOptions = {}): Promise<Worker> {
      const worker = new Worker(app, { concurrency: 4, ...options });
      closers.push(() => worker.stop('cold'));
      await worker.start();
      return worker;
    }

    test('a worker and a client come through cut connections (users 1d)', async () => {
      await fresh();
      const app = openApp();
      const ran = new Set<string>();
      app.task('note', { ignoreResult: true }, (id: string) => void ran.add(id));
      app.task('echo', (value: number) => value);
      const worker = await work(app);
      const sent: string[] = [];
      const rounds = full ? 200 : 3;
      for (let round = 0; round < rounds; round++) {
        const cutting = server.ctl('-q', 'close_all_connections', '--vhost', vhost(), 'chaos');
        for (let i = 0; i < 20; i++) {
          const id = `${round}-${i}`;
          if (await succeeds(app.send('note', [id]))) sent.push(id);
          await wait(20);
        }
        await cutting;
      }
      await until(() => sent.every((id) => ran.has(id)), { message: 'every confirmed task ran', timeoutMs: 60_000 });
      expect(sent.length).toBeGreaterThan(rounds);
      await until(() => worker.isConsuming, { message: 'the worker consumes' });
      // The reply queue went with its connection, and came back with the next.
      const answer = async (): Promise<boolean> => succeeds((await app.send('echo', [1])).get({ timeout: '5s' }));
      await until(answer, { message: 'results arrive again', timeoutMs: 60_000 });
    });

    const consumersOf = async (name: string): Promise<number> => {
      const rows = await server.list<{ queue_name: string }>('list_consumers', vhost(), 'queue_name');
      return rows.filter((row) => row.queue_name === name).length;
    };

    test('ten breaks of the link: nothing is lost, and no consumer is left over (BRK-3)', async () => {
      const direct = await fresh();
      const proxy = await faultProxy(server.port);
      closers.push(() => proxy.close());
      broker = direct.replace(`:${server.port}/`, `:${proxy.port}/`);
      const app = openApp();
      const ran = new Set<string>();
      app.task('note', { ignoreResult: true }, (id: string) => void ran.add(id));
      const worker = await work(app);
      const sent: string[] = [];
      for (let round = 0; round < 10; round++) {
        for (let i = 0; i < 20; i++) {
          const id = `${round}-${i}`;
          if (i === 10) proxy.reset();
          if (await succeeds(app.send('note', [id]))) sent.push(id);
        }
        await until(() => worker.isConsuming, { message: 'the worker consumes again', timeoutMs: 60_000 });
      }
      await until(() => sent.every((id) => ran.has(id)), { message: 'every confirmed task ran', timeoutMs: 60_000 });
      expect(sent.length).toBeGreaterThan(100);
      expect(worker.vitals?.connects).toBeGreaterThan(1);
      await until(async () => (await consumersOf('celery')) === 1, { message: 'one consumer', timeoutMs: 60_000 });
    });

    test('the node is killed and started again: what was confirmed runs', async () => {
      await fresh();
      const app = openApp();
      const ran = new Set<number>();
      app.task('note', { ignoreResult: true }, (n: number) => void ran.add(n));
      const worker = await work(app);
      for (let round = 0; round < (full ? 10 : 1); round++) {
        for (let n = 0; n < 50; n++) await app.send('note', [round * 100 + n]);
        await server.kill();
        await until(() => !worker.isConsuming, { message: 'the worker noticed', timeoutMs: 30_000 });
        await server.restart();
        await until(() => succeeds(app.send('note', [round * 100 + 50])), {
          message: 'publishing works again',
          timeoutMs: 60_000,
        });
        await until(() => ran.size === (round + 1) * 51, { message: 'everything ran', timeoutMs: 60_000 });
      }
      expect(await consumersOf('celery')).toBe(1);
    });

    test('killed workers lose nothing (users 3)', async () => {
      await fresh();
      const ledger = new Ledger();
      closers.push(() => ledger.dispose());
      const app = openApp();
      const spawned = (name: string): ChildProcess => {
        const script = fileURLToPath(new URL('../support/interop-worker.ts', import.meta.url));
        const options = { broker, backend: 'disabled://', ledger: ledger.path, name, concurrency: 4 };
        const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(options)], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        closers.push(() => void child.kill('SIGKILL'));
        return child;
      };
      const ids = Array.from({ length: full ? 10_000 : 400 }, (_, i) => `t${i}`);
      await Promise.all(ids.map((id) => app.send('shared.record', [id, 10], { ignoreResult: true })));
      const workers = ['a@chaos', 'b@chaos'].map(spawned);
      await Promise.all(workers.map((child) => once(child.stdout as NodeJS.ReadableStream, 'data')));
      const kills = full ? 40 : 2;
      for (let round = 0; round < kills; round++) {
        const goal = Math.min(ids.length, ledger.ends().size + ids.length / 10);
        await until(() => ledger.ends().size >= goal, { message: 'progress', timeoutMs: 60_000 });
        workers[round % 2]?.kill('SIGKILL');
        workers[round % 2] = spawned(`r${round}@chaos`);
      }
      await until(() => ledger.lost(ids).length === 0, { message: 'every task ended', timeoutMs: 90_000 });
      // At most what its slots had, and what had ended and was not acknowledged yet.
      expect(ledger.duplicates().length).toBeLessThanOrEqual(kills * 16);
    });

    test(
      'a message that kills its workers is put away; one that only came back is not (maxDeliveries)',
      { timeout: 300_000 },
      async () => {
        await fresh();
        const ledger = new Ledger();
        closers.push(() => ledger.dispose());
        const app = openApp({ taskDefaultQueueType: 'quorum' });
        const connection = await amqp(broker).connect();
        closers.push(() => connection.close());
        const channel = await connection.channel();
        const celery = queue('celery', { arguments: { 'x-queue-type': 'quorum' } });
        // Returned on purpose more often than it may kill, and run by the first worker.
        const innocent = await app.send('shared.record', ['innocent', 1]);
        for (let returned = 0; returned < 5; returned++) {
          let delivery: Delivery | undefined;
          await until(async () => (delivery = await channel.get('celery')), { message: 'it is there' });
          await delivery?.reject({ requeue: true });
        }
        const poison = await app.send('shared.record', ['poison', 600_000]);
        const starts = (): number => ledger.lines().filter(({ id }) => id === 'poison').length;
        const crossedOut = async (id: string): Promise<boolean> => (await channel.size(`celeriac.run.${id}`)) === 0;
        const options = {
          broker,
          backend: 'rpc://',
          ledger: ledger.path,
          name: 'w@chaos',
          concurrency: 4,
          settings: { taskDefaultQueueType: 'quorum' },
        };
        const script = fileURLToPath(new URL('../support/interop-worker.ts', import.meta.url));
        const work = (): ChildProcess => {
          const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(options)], {
            stdio: ['ignore', 'ignore', 'inherit'],
          });
          closers.push(() => void child.kill('SIGKILL'));
          return child;
        };
        for (let run = 1; run <= 3; run++) {
          const child = work();
          await until(() => starts() === run, { message: `run ${run}`, timeoutMs: 60_000 });
          if (run === 1) {
            await innocent.get({ timeout: '60s' });
            await until(() => crossedOut(innocent.id), { message: 'it is settled', timeoutMs: 60_000 });
          }
          child.kill('SIGKILL');
        }
        work();
        const failed = await poison.get({ timeout: '60s' }).catch((error: unknown) => error);
        expect(failed).toBeInstanceOf(WorkerLostError);
        expect(starts()).toBe(3);
        expect(await channel.size('celery.dlq')).toBe(1);
        await until(async () => (await channel.size(celery.name)) === 0, { message: 'it is gone from its queue' });
        await until(() => crossedOut(poison.id), { message: 'its note is crossed out', timeoutMs: 60_000 });
      },
    );

    test('a frozen broker is noticed within two heartbeats, and found again (users 4)', async () => {
      await fresh();
      const heartbeat = full ? 10 : 2;
      const app = openApp({ brokerHeartbeat: heartbeat, brokerConnectionTimeout: 2 });
      const ran = new Set<number>();
      app.task('note', { ignoreResult: true }, (n: number) => void ran.add(n));
      const worker = await work(app);
      await app.send('note', [1]);
      await until(() => ran.has(1), { message: 'it runs' });
      server.signal('SIGSTOP');
      try {
        await until(() => !worker.isConsuming, { message: 'the worker noticed', timeoutMs: heartbeat * 2000 + 30_000 });
      } finally {
        server.signal('SIGCONT');
      }
      await until(() => succeeds(app.send('note', [2])), { message: 'publishing works again', timeoutMs: 60_000 });
      await until(() => ran.has(2) && worker.isConsuming, { message: 'it consumes again', timeoutMs: 60_000 });
    });

    test('a worker that drains keeps its link and what it runs (users 5c)', async () => {
      await fresh();
      const heartbeat = full ? 5 : 1;
      const app = openApp({ brokerHeartbeat: heartbeat });
      const starts: string[] = [];
      let ended = 0;
      app.task('long', { ignoreResult: true }, async (name: string) => {
        starts.push(name);
        await wait(heartbeat * 4000);
        ended++;
      });
      const draining = await work(app, { hostname: 'old@chaos', concurrency: 2, prefetchMultiplier: 1 });
      await Promise.all(['a', 'b'].map((name) => app.send('long', [name])));
      await until(() => starts.length === 2, { message: 'both run' });
      const stopped = draining.stop('warm');
      await work(app, { hostname: 'new@chaos', concurrency: 2 });
      await app.send('long', ['c']);
      await stopped;
      expect(ended).toBeGreaterThanOrEqual(2);
      await until(() => ended === 3, { message: 'the new worker has run its own', timeoutMs: 60_000 });
      expect(starts.sort()).toEqual(['a', 'b', 'c']);
    });

    test('publishing to a broker that takes nothing ends in time and memory, and works afterwards (users 6)', async () => {
      const direct = await fresh();
      const proxy = await faultProxy(server.port);
      closers.push(() => proxy.close());
      broker = direct.replace(`:${server.port}/`, `:${proxy.port}/`);
      const timeout = full ? 2 : 1;
      const app = openApp({ backend: 'disabled://', publishTimeout: timeout });
      const send = (): Promise<unknown> => app.send('any', [], { ignoreResult: true });
      await send();
      const gone = (mode: 'refuse' | 'blackhole') => ({
        begin: async () => void (proxy.mode = mode),
        end: async () => void (proxy.mode = 'pass'),
      });
      const faults = {
        refuse: gone('refuse'),
        blackhole: gone('blackhole'),
        'memory alarm': {
          begin: () => server.ctl('-q', 'set_vm_memory_high_watermark', 'absolute', '1MB'),
          end: () => server.ctl('-q', 'set_vm_memory_high_watermark', '0.6'),
        },
        frozen: {
          begin: async () => server.signal('SIGSTOP'),
          end: async () => server.signal('SIGCONT'),
        },
      };
      for (const [name, { begin, end }] of Object.entries(faults)) {
        await begin();
        let seen: Storm;
        try {
          seen = await storm(send, 200, full ? 60_000 : 0);
        } finally {
          await end();
        }
        const backMs = Date.now();
        await until(() => succeeds(send()), { message: `publishing works after ${name}`, timeoutMs: 60_000 });
        const { calls, taken, errors, slowestMs, grownMb } = seen;
        console.log(
          `${name}: ${calls} calls, slowest ${slowestMs} ms, ${grownMb} MB more, back after ${Date.now() - backMs} ms`,
        );
        expect([name, taken]).toEqual([name, 0]);
        for (const error of errors) expect(error).toBeInstanceOf(OperationalError);
        // The deadline and the bound, with a wide margin for a busy machine.
        expect(slowestMs).toBeLessThan(timeout * 1000 + 10_000);
        expect(grownMb).toBeLessThan(200);
      }
    });

    test('a task beyond consumer_timeout: short ones flow, it ends once, and the log says what to do (BRK-4)', async () => {
      await fresh();
      const lines: string[] = [];
      const note = (_: object, message: string): void => void lines.push(message);
      const log: Logger = { ...silentLogger, warn: note, error: note, child: () => log };
      const setting = (name: string, value: number): Promise<string> =>
        server.ctl('-q', 'eval', `application:set_env(rabbit, ${name}, ${value}).`);
      // Channels read it when they open; the broker looks at them once a tick.
      await Promise.all([setting('consumer_timeout', 3000), setting('channel_tick_interval', 500)]);
      try {
        const app = openApp({ log });
        let starts = 0;
        let ends = 0;
        let short = 0;
        app.task('long', { ignoreResult: true }, async () => {
          starts++;
          await until(() => lines.some((line) => line.includes('consumer_timeout')), {
            message: 'the broker took it back',
            timeoutMs: 60_000,
          });
          const before = short;
          await until(() => short > before, { message: 'short tasks run beside it', timeoutMs: 60_000 });
          ends++;
        });
        app.task('short', { ignoreResult: true }, () => void short++);
        const worker = await work(app, { concurrency: 2, prefetchMultiplier: 1 });
        await app.send('long');
        await until(() => starts === 1, { message: 'it runs' });
        await until(
          async () => {
            await succeeds(app.send('short'));
            return ends === 1;
          },
          { message: 'the long task ends', timeoutMs: 60_000 },
        );
        await until(() => worker.isConsuming && worker.active === 0, { message: 'all is settled' });
        expect([starts, ends]).toEqual([1, 1]);
      } finally {
        await Promise.all([setting('consumer_timeout', 1_800_000), setting('channel_tick_interval', 60_000)]);
      }
    });

    test('a queue that the broker refuses, or that is deleted, takes no other with it (ROU-15)', async () => {
      await fresh();
      const errors: string[] = [];
      const note = ({ error }: { readonly error?: unknown }): void => void errors.push(String(error));
      const log: Logger = { ...silentLogger, error: note, child: () => log };
      const connection = await amqp(broker).connect();
      closers.push(() => connection.close());
      const channel = await connection.channel();
      await channel.declare(queue('other', { maxLength: 5 }));
      const app = openApp({ log });
      const ran: string[] = [];
      app.task('note', { ignoreResult: true }, (name: string) => void ran.push(name));
      let release = (): void => undefined;
      const released = new Promise<void>((resolve) => (release = resolve));
      app.task('block', { ignoreResult: true }, async () => {
        ran.push('block');
        await released;
      });
      const worker = await work(app, { queues: ['good', 'other', 'doomed'] });
      expect(errors.join()).toMatch(/TopologyConflictError.*"other" exists with other properties.*x-max-length/);
      await app.send('block', [], { queue: 'good' });
      await until(() => ran.includes('block'), { message: 'it runs' });
      await app.send('note', ['before'], { queue: 'doomed' });
      await until(() => ran.includes('before'), { message: 'the doomed queue is consumed' });
      await channel.deleteQueue('doomed');
      await until(
        async () => {
          await succeeds(app.send('note', ['after'], { queue: 'doomed' }));
          return ran.includes('after');
        },
        { message: 'the deleted queue is consumed again', timeoutMs: 60_000 },
      );
      expect(worker.vitals?.connects).toBe(1);
      release();
      await until(async () => worker.active === 0 && (await channel.size('good')) === 0, { message: 'it is settled' });
      expect(ran.filter((one) => one === 'block')).toHaveLength(1);
    });

    test.runIf(full)('the leader of a quorum queue is killed: what was confirmed runs (users 1, BRK-2)', async () => {
      const second = await startRabbit({ join: server });
      closers.push(() => second.stop());
      const third = await startRabbit({ join: server });
      closers.push(() => third.stop());
      await fresh();
      const nodes = [server, second, third];
      const urls = nodes.map((one) => one.url(vhost()));
      const app = openApp({ broker: urls, backend: 'disabled://', taskDefaultQueueType: 'quorum' });
      const ran = new Set<number>();
      app.task('note', { ignoreResult: true }, (n: number) => void ran.add(n));
      const worker = await work(app);
      await app.send('note', [-1]);
      const rows = await server.list<{ name: string; leader: string }>('list_queues', vhost(), 'name', 'leader');
      const row = rows.find(({ name }) => name === 'celery');
      const leader = nodes.find((one) => row?.leader.includes(`r${one.port}@`));
      if (leader === undefined) throw new Error(`no node leads: ${JSON.stringify(row)}`);
      const sent = [-1];
      for (let n = 0; n < 200; n++) {
        if (n === 50) await leader.kill();
        if (await succeeds(app.send('note', [n]))) sent.push(n);
      }
      await until(() => sent.every((n) => ran.has(n)), { message: 'every confirmed task ran', timeoutMs: 120_000 });
      expect(sent.length).toBeGreaterThan(150);
      await until(() => worker.isConsuming, { message: 'the worker consumes' });
    });
  },
);
