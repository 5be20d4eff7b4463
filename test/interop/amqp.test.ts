import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery, type CeleryOptions } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing, olderThan } from '../support/available.ts';
import { Ledger } from '../support/ledger.ts';
import { pythonCalls, pythonWorker, type PythonSide } from '../support/python.ts';
import { startRabbit, type RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';
import { delayedInterop } from './amqp-delayed.ts';
import { routingInterop } from './amqp-routing.ts';
import { rpcInterop } from './amqp-rpc.ts';
import { interopMatrix } from './matrix.ts';

/*
 * Real Python Celery on the other side of a real RabbitMQ, on classic and on quorum queues.
 */

const reason = missing('rabbitmq') ?? missing('redis') ?? missing('python');
/** Python knows quorum queues and their delayed delivery since 5.5. */
const noQuorum = reason ?? olderThan(5, 5);

/** Queue type, our settings, Python's. */
const KINDS: readonly [string, CeleryOptions, NonNullable<PythonSide['config']>][] = [
  ['classic', {}, {}],
  [
    'quorum',
    { taskDefaultQueueType: 'quorum', taskCreateMissingQueueType: 'quorum' },
    { task_default_queue_type: 'quorum', task_create_missing_queue_type: 'quorum' },
  ],
];

let rabbit: Promise<RabbitServer> | undefined;
const node = (): Promise<RabbitServer> => (rabbit ??= startRabbit());
afterAll(async () => (await rabbit)?.stop());

for (const [kind, settings, config] of KINDS) {
  interopMatrix(`RabbitMQ with ${kind} queues`, kind === 'quorum' ? noQuorum : reason, async () => {
    const [broker, redis] = await Promise.all([node().then((one) => one.vhost()), startRedis()]);
    return {
      side: { broker, backend: redis.url(1), config },
      settings,
      stored: (id) => redis.client(1).get(`celery-task-meta-${id}`),
      delays: kind === 'quorum',
      verify: async () => {
        const vhost = decodeURIComponent(new URL(broker).pathname.slice(1));
        const rows = await (await node()).list<Record<string, string>>('list_queues', vhost, 'name', 'type');
        for (const name of ['celery', 'ts']) expect(rows).toContainEqual({ name, type: kind });
        // Countdowns waited in the levels of the broker where there are quorum queues, and nowhere else.
        expect(rows.filter(({ name }) => /^celery_delayed_\d+$/.test(name ?? ''))).toHaveLength(
          kind === 'quorum' ? 28 : 0,
        );
      },
      stop: () => redis.stop(),
    };
  });
}

rpcInterop(reason, node);
delayedInterop(noQuorum, node);
routingInterop(reason, node);

describe.skipIf(reason !== undefined)('what only AMQP has', () => {
  test('headers of Python beyond 32 bits are read, and ours by Python', async () => {
    const broker = await (await node()).vhost();
    const redis = await startRedis();
    const side = { broker, backend: redis.url(1) };
    const app = new Celery({ broker, backend: side.backend });
    app.task('ts.headers', { bind: true }, (ctx) => ctx.request.headers);
    const worker = new Worker(app, { queues: ['ts'], hostname: 'ts@test' });
    const python = await pythonWorker(side);
    try {
      await worker.start();
      const headers = { sent: 1_700_000_000_000, minus: -3, deep: [{ wide: 2 ** 40 }], half: 0.1 };
      const [outcome] = await pythonCalls(side, [{ name: 'ts.headers', options: { queue: 'ts', headers } }]);
      expect(outcome?.value).toMatchObject(headers);
      const seen = await (await app.send<{ headers: unknown }>('py.request', [], { headers })).get({ timeout: '20s' });
      expect(seen.headers).toMatchObject(headers);
    } finally {
      await worker.stop('cold');
      await app.close();
      await python[Symbol.asyncDispose]();
      await redis.stop();
    }
  });
});

describe.skipIf(noQuorum !== undefined)('delayed delivery in the broker', () => {
  test('a far ETA leaves the worker, waits in a level and arrives', { timeout: 90_000 }, async () => {
    const server = await node();
    const broker = await server.vhost();
    const vhost = decodeURIComponent(new URL(broker).pathname.slice(1));
    const app = new Celery({
      broker,
      backend: 'disabled://',
      taskDefaultQueueType: 'quorum',
      etaHorizon: 1,
      brokerTransportOptions: { native_delayed_delivery: true },
      brokerNativeDelayedDeliveryQueueType: 'classic',
    });
    const runs: number[] = [];
    app.task('ts.late', () => void runs.push(Date.now()));
    const worker = new Worker(app, { hostname: 'ts@test' });
    interface Row {
      readonly name: string;
      readonly messages: number;
      readonly type: string;
    }
    const queues = (): Promise<Row[]> => server.list<Row>('list_queues', vhost, 'name', 'messages', 'type');
    const isLevel = ({ name }: Row): boolean => /^celery_delayed_\d+$/.test(name);
    try {
      await worker.start();
      const dueMs = Date.now() + 20_000;
      await app.send('ts.late', [], { eta: new Date(dueMs) });
      let rows: Row[] = [];
      const waits = async (): Promise<boolean> => {
        rows = await queues();
        const own = rows.find(({ name }) => name === 'celery');
        return own?.messages === 0 && rows.filter(isLevel).some(({ messages }) => messages === 1);
      };
      await until(waits, { message: 'the message waits in a level', timeoutMs: 30_000 });
      expect(rows.filter(isLevel)).toHaveLength(28);
      expect(new Set(rows.filter(isLevel).map(({ type }) => type))).toEqual(new Set(['classic']));
      expect(runs).toEqual([]);
      await until(() => runs.length > 0, { message: 'the task has run', timeoutMs: 30_000 });
      expect(runs[0]).toBeGreaterThanOrEqual(dueMs);
      expect(runs).toHaveLength(1);
    } finally {
      await worker.stop('cold');
      await app.close();
    }
  });
});

describe.skipIf(reason !== undefined).each(noQuorum === undefined ? KINDS : KINDS.slice(0, 1))(
  'a mixed fleet on one %s queue of RabbitMQ',
  (_, settings, config) => {
    const COUNT = 600;
    let broker: string;
    beforeAll(async () => {
      broker = await (await node()).vhost();
    });

    test('loses nothing when one of each is killed', { timeout: 120_000 }, async () => {
      const ledger = new Ledger();
      const side = { broker, backend: 'disabled://', ledger: ledger.path, config };
      const ours = (name: string) => {
        const script = fileURLToPath(new URL('../support/interop-worker.ts', import.meta.url));
        const options = JSON.stringify({ ...side, name, concurrency: 4, settings });
        return spawn(process.execPath, ['--import', 'tsx', script, options], { stdio: ['ignore', 'pipe', 'inherit'] });
      };
      const pythons = await Promise.all(
        ['py1@fleet', 'py2@fleet'].map((name) => pythonWorker(side, { name, concurrency: 2 })),
      );
      const nodes = ['ts1@fleet', 'ts2@fleet'].map(ours);
      const app = new Celery({ ...settings, broker });
      try {
        await Promise.all(nodes.map((child) => once(child.stdout, 'data')));
        const ids = Array.from({ length: COUNT }, (_unused, i) => `task-${i}`);
        await Promise.all(ids.map((id) => app.send('shared.record', [id, 20], { taskId: id, ignoreResult: true })));
        await until(() => ledger.ends().size > COUNT / 4, { message: 'a quarter has run', timeoutMs: 60_000 });
        nodes[0]?.kill('SIGKILL');
        process.kill(-(pythons[0]?.process.pid as number), 'SIGKILL');
        await until(() => ledger.lost(ids).length === 0, { message: 'every task has ended', timeoutMs: 90_000 });
        // In flight at the kills: 4 slots × 4 fetched ahead here, 2 × 4 there.
        expect(ledger.duplicates().length).toBeLessThanOrEqual(24);
        // On a busy machine the one that is killed may not have begun.
        expect(new Set(ledger.lines().map(({ pid }) => pid)).size).toBeGreaterThanOrEqual(3);
      } finally {
        for (const child of nodes) child.kill('SIGKILL');
        for (const one of pythons) await one[Symbol.asyncDispose]();
        await app.close();
        ledger.dispose();
      }
    });
  },
);
