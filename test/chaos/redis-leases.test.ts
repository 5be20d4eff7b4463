import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { Celery, type CeleryOptions } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { faultProxy } from '../support/fault-proxy.ts';
import { Ledger } from '../support/ledger.ts';
import { pythonWorker, type PythonSide } from '../support/python.ts';
import { until } from '../support/until.ts';

/*
 * Who holds a message on a real Redis: whole workers, ours and Python's, that run for longer than the visibility
 * timeout, are stopped and continued, killed, or cut off in the middle of a reconnect.
 * `CELERIAC_CHAOS=full` runs the full durations.
 */

const full = process.env['CELERIAC_CHAOS'] === 'full';
const reason = missing('redis') ?? missing('python');
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function redis(...args: string[]): Promise<RedisServer> {
  const server = await startRedis(args);
  closers.push(() => server.stop());
  return server;
}

function openLedger(): Ledger {
  const ledger = new Ledger();
  closers.push(() => ledger.dispose());
  return ledger;
}

function openApp(broker: string, transportOptions: Readonly<Record<string, unknown>> = {}): Celery {
  const app = new Celery({ broker, backend: broker, env: {}, brokerTransportOptions: transportOptions });
  closers.push(() => app.close());
  return app;
}

interface OurWorker {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Lines it has printed: `ready`, `lease-lost <task id>`. */
  readonly lines: readonly string[];
}

async function ourWorker(
  server: RedisServer,
  ledger: Ledger,
  name: string,
  options: {
    readonly concurrency: number;
    readonly prefetchMultiplier?: number;
    readonly transportOptions?: Readonly<Record<string, unknown>>;
    readonly settings?: CeleryOptions;
  },
): Promise<OurWorker> {
  const script = fileURLToPath(new URL('../support/interop-worker.ts', import.meta.url));
  const side = { broker: server.url(), backend: server.url(), ledger: ledger.path, name };
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify({ ...side, ...options })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  closers.push(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  child.stdout.on('data', (chunk: Buffer) => lines.push(...chunk.toString().trim().split('\n')));
  await once(child.stdout, 'data');
  return { process: child, pid: child.pid as number, lines };
}

/** Attempts that began in this process, by task. */
function startsOf(ledger: Ledger, pid: number): string[] {
  return ledger
    .lines()
    .filter((line) => line.what === 'start' && line.pid === pid)
    .map(({ id }) => id);
}

describe.skipIf(reason !== undefined)(`leases on Redis${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  const VISIBILITY = 3;
  const transportOptions = { visibility_timeout: VISIBILITY, lease_ttl: 3, sweep_interval: 1 };

  test(
    'a run and a wait longer than the visibility timeout stay with their worker (users 2)',
    { timeout: 150_000 },
    async () => {
      const server = await redis();
      const ledger = openLedger();
      const reader = server.client();
      const app = openApp(server.url(), transportOptions);
      const tasks = full ? 50 : 20;
      const held = await ourWorker(server, ledger, 'holder@leases', {
        concurrency: tasks,
        prefetchMultiplier: 12,
        transportOptions,
      });
      // Longer than Python's pause of ten seconds between two sweeps.
      const long = Array.from({ length: tasks }, (_, i) => `long-${i}`);
      const late = Array.from({ length: full ? 200 : 40 }, (_, i) => `late-${i}`);
      for (const id of long) await app.send('shared.record', [id, 12_500], { taskId: id });
      for (const id of late) await app.send('shared.record', [id, 10], { taskId: id, countdown: '15s' });
      const unacked = tasks + late.length;
      await until(async () => (await reader.zcard('unacked_index')) === unacked, { message: 'everything is held' });
      // Rivals that would take whatever is put back: one of ours, one of Python's.
      const rival = await ourWorker(server, ledger, 'rival@leases', { concurrency: 4, transportOptions });
      const side: PythonSide = {
        broker: server.url(),
        backend: server.url(),
        ledger: ledger.path,
        visibilityTimeout: VISIBILITY,
      };
      const python = await pythonWorker(side, { name: 'rival@python' });
      closers.push(() => python[Symbol.asyncDispose]());
      const scores = async (): Promise<Map<string, string>> => {
        const flat = await reader.zrange('unacked_index', '0', '-1', 'WITHSCORES');
        return new Map(flat.flatMap((_, i) => (i % 2 === 0 ? [[flat[i] as string, flat[i + 1] as string]] : [])));
      };
      const before = await scores();
      await until(async () => [...(await scores())].every(([tag, score]) => before.get(tag) !== score), {
        message: 'every score has moved',
      });
      await until(() => ledger.lost([...long, ...late]).length === 0, {
        message: 'everything ended',
        timeoutMs: 60_000,
      });
      expect(ledger.duplicates()).toEqual([]);
      expect(new Set(startsOf(ledger, held.pid))).toEqual(new Set([...long, ...late]));
      expect(startsOf(ledger, rival.pid)).toEqual([]);
      await until(async () => (await reader.zcard('unacked_index')) === 0, { message: 'everything is acknowledged' });
    },
  );

  test(
    'a worker that was frozen loses its leases, tells its tasks, and neither stores nor acknowledges (users 2, 12)',
    { timeout: 120_000 },
    async () => {
      const server = await redis();
      const ledger = openLedger();
      const reader = server.client();
      const app = openApp(server.url(), transportOptions);
      const frozen = await ourWorker(server, ledger, 'frozen@leases', {
        concurrency: 4,
        prefetchMultiplier: 2,
        transportOptions,
        settings: { workerSendTaskEvents: true },
      });
      const lost: unknown[] = [];
      const events = app.events({ types: ['lease-lost'] });
      void (async () => {
        for await (const { hostname, uuid } of events as AsyncIterable<Record<string, unknown>>)
          lost.push([hostname, uuid]);
      })();
      const ids = ['frozen-0', 'frozen-1', 'frozen-2', 'listens'];
      for (const id of ids.slice(0, 3)) await app.send('shared.record', [id, 2_500], { taskId: id });
      await app.send('shared.listen', ['listens', 'frozen@leases'], { taskId: 'listens' });
      await until(() => startsOf(ledger, frozen.pid).length === ids.length, { message: 'all of them run' });
      // Fetched ahead: what it holds of these must not begin there when it wakes up.
      const queued = Array.from({ length: 4 }, (_, i) => `queued-${i}`);
      for (const id of queued) await app.send('shared.record', [id, 1], { taskId: id });
      await until(async () => (await reader.hlen('unacked')) === 8, { message: 'it holds all eight' });
      frozen.process.kill('SIGSTOP');
      const heir = await ourWorker(server, ledger, 'heir@leases', { concurrency: 4, transportOptions });
      const own = Array.from({ length: 4 }, (_, i) => `own-${i}`);
      for (const id of own) await app.send('shared.record', [id, 3_000], { taskId: id });
      await until(() => ids.every((id) => ledger.ends().has(id)), {
        message: 'its tasks ran elsewhere',
        timeoutMs: 60_000,
      });
      await until(() => startsOf(ledger, heir.pid).length === 12, { message: 'all its tasks, and its only, began' });
      expect(new Set(startsOf(ledger, heir.pid))).toEqual(new Set([...own, ...ids, ...queued]));
      await until(async () => (await reader.hlen('unacked')) === 0, { message: 'the heir is done' });
      const records = async (): Promise<(string | null)[]> => reader.mget(...ids.map((id) => `celery-task-meta-${id}`));
      await until(async () => (await records()).every((text) => text?.includes('SUCCESS')), {
        message: 'the results are stored',
      });
      const stored = await records();
      for (const text of stored) expect(JSON.parse(text as string)).toMatchObject({ worker: 'heir@leases' });
      frozen.process.kill('SIGCONT');
      await until(() => ids.every((id) => frozen.lines.includes(`lease-lost ${id}`)), {
        message: 'it noticed that it had lost them',
      });
      for (const id of ids) expect(frozen.lines.filter((line) => line === `lease-lost ${id}`)).toHaveLength(1);
      const said = 'signal listens ERR_LEASE_LOST the lease of the message of task listens was lost';
      await until(() => frozen.lines.some((line) => line.startsWith(said)), { message: 'the task was told' });
      await until(() => ids.every((id) => lost.some((one) => String(one) === `frozen@leases,${id}`)), {
        message: 'monitors are told',
      });
      expect(await records()).toEqual(stored);
      expect(await reader.hlen('unacked')).toBe(0);
      // It works on, with what it is handed from now on; nothing of what it held has begun meanwhile.
      heir.process.kill('SIGKILL');
      await app.send('shared.record', ['after', 1], { taskId: 'after' });
      await until(() => ledger.ends().has('after'), { message: 'it still works', timeoutMs: 30_000 });
      expect(new Set(startsOf(ledger, frozen.pid))).toEqual(new Set([...ids, 'after']));
    },
  );

  test(
    'what a killed worker held is back within the lease, what Python holds is left alone (users 15)',
    { timeout: 240_000 },
    async () => {
      const server = await redis();
      const ledger = openLedger();
      const reader = server.client();
      const app = openApp(server.url());
      const side: PythonSide = { broker: server.url(), backend: server.url(), ledger: ledger.path };
      const python = await pythonWorker(side, { queues: 'py', name: 'holder@python' });
      closers.push(() => python[Symbol.asyncDispose]());
      for (const id of ['py-1', 'py-2']) await app.send('py.record', [id, 600_000], { queue: 'py' });
      await until(() => startsOf(ledger, python.process.pid as number).length === 2, { message: 'Python holds two' });
      const pythons = new Map(Object.entries(await reader.hgetall('unacked')));
      const pythonScores = await reader.zrange('unacked_index', '0', '-1', 'WITHSCORES');
      const count = full ? 5_000 : 2_000;
      const holder = await ourWorker(server, ledger, 'same@leases', {
        concurrency: 4,
        prefetchMultiplier: count,
        transportOptions: {},
      });
      const send = Array.from({ length: count }, (_, i) => app.send('shared.record', [`t${i}`, 600_000]));
      await Promise.all(send);
      await until(async () => (await reader.hlen('unacked')) === count + 2, {
        message: 'one worker holds all of them',
        timeoutMs: 90_000,
      });
      const witness = new Worker(openApp(server.url()), { queues: ['other'], hostname: 'witness@leases' });
      closers.push(() => witness.stop('cold'));
      await witness.start();
      holder.process.kill('SIGKILL');
      await until(async () => (await reader.llen('celery')) === count, {
        message: 'all of them wait again',
        timeoutMs: 90_000,
      });
      expect(new Map(Object.entries(await reader.hgetall('unacked')))).toEqual(pythons);
      expect(await reader.zrange('unacked_index', '0', '-1', 'WITHSCORES')).toEqual(pythonScores);
    },
  );

  test(
    'a reconnect cut after any number of bytes never leaves a worker that does not consume (users 1c)',
    { timeout: full ? 1_800_000 : 180_000 },
    async () => {
      const server = await redis();
      await using proxy = await faultProxy(server.port);
      const app = openApp(`redis://127.0.0.1:${proxy.port}/0`);
      const producer = openApp(server.url());
      const ran = new Set<string>();
      app.task('note', { ignoreResult: true }, (id: string) => void ran.add(id));
      const worker = new Worker(app, { concurrency: 4 });
      closers.push(() => worker.stop('cold'));
      await worker.start();
      const sent: string[] = [];
      for (let offset = 0; offset <= 4096; offset += full ? 4096 / 200 : 97 * 7) {
        proxy.cutAfterBytes = Math.round(offset);
        const before = proxy.accepted;
        proxy.reset();
        for (let i = 0; i < 5; i++) {
          const id = `${offset}-${i}`;
          await producer.send('note', [id]);
          sent.push(id);
        }
        // At least one attempt met the cut.
        await until(() => proxy.accepted > before, {
          message: `it tried again after ${offset} bytes`,
          timeoutMs: 30_000,
        });
        proxy.cutAfterBytes = undefined;
        await until(() => sent.every((id) => ran.has(id)), {
          message: `it consumes again after a cut at ${offset} bytes`,
          timeoutMs: 30_000,
        });
      }
      expect(worker.isConsuming).toBe(true);
    },
  );
});
