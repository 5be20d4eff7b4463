import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery, exchange, queue, type CeleryOptions } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { pythonCalls, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';
import type { RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';

/*
 * Delayed delivery in the broker, which quorum queues switch on by themselves, shared with real Python Celery.
 * Python has it for topic exchanges alone, so both sides use one.
 */

const SETTINGS: CeleryOptions = {
  taskDefaultQueueType: 'quorum',
  taskDefaultExchangeType: 'topic',
  taskCreateMissingQueueType: 'quorum',
  taskCreateMissingQueueExchangeType: 'topic',
};
const CONFIG = {
  task_default_queue_type: 'quorum',
  task_default_exchange_type: 'topic',
  task_create_missing_queue_type: 'quorum',
  task_create_missing_queue_exchange_type: 'topic',
};

interface Seen {
  /** Unix time in seconds. */
  readonly started: number;
  /** That the message came from. */
  readonly exchange: string;
}

interface Row {
  readonly name: string;
  readonly type: string;
}

const LEVEL = /^celery_delayed_\d+$/;
/** The last exchange that a delayed message passes. */
const DELAYED = /^celery_delayed_/;

/** @param node a RabbitMQ that others may use as well */
export function delayedInterop(reason: string | undefined, node: () => Promise<RabbitServer>): void {
  describe.skipIf(reason !== undefined)('delayed delivery of quorum queues', () => {
    const ending: (() => Promise<unknown>)[] = [];
    afterAll(async () => {
      for (const end of ending.reverse()) await end();
    });

    function open(broker: string): Celery {
      const straight = queue('straight', { exchange: exchange('straight'), arguments: { 'x-queue-type': 'quorum' } });
      const app = new Celery({ ...SETTINGS, broker, backend: 'rpc://' });
      app.queues.add(straight);
      app.task('ts.when', { bind: true }, (ctx) => ({
        started: Date.now() / 1000,
        // Our request has the exchange that the caller meant; the broker's own notes say how it came.
        exchange: JSON.stringify(ctx.request.headers?.['x-death'] ?? null),
        meant: ctx.request.deliveryInfo,
      }));
      ending.push(() => app.close());
      return app;
    }

    async function work(app: Celery, queue: string): Promise<void> {
      const worker = new Worker(app, { queues: [queue], hostname: `${queue}@test`, concurrency: 4 });
      ending.push(() => worker.stop('cold'));
      await worker.start();
    }

    async function see(app: Celery, countdown: number, options: object = {}, name = 'py.request') {
      const sent = Date.now() / 1000;
      const handle = await app.send<Seen>(name, [], { countdown: countdown * 1000, ...options });
      return async (): Promise<Seen> => {
        const seen = await handle.get({ timeout: '60s' });
        expect(seen.started).toBeGreaterThanOrEqual(sent + countdown);
        return seen;
      };
    }

    describe('one broker for both', () => {
      let server: RabbitServer;
      let side: PythonSide;
      let vhost: string;
      let app: Celery;
      let python: PythonWorker;

      beforeAll(async () => {
        server = await node();
        const broker = await server.vhost();
        vhost = decodeURIComponent(new URL(broker).pathname.slice(1));
        side = { broker, backend: 'rpc://', config: CONFIG };
        app = open(broker);
      });

      test('we send before any worker was there, Python runs it', { timeout: 120_000 }, async () => {
        // The first one declares the levels, which may take its time.
        await app.send('py.request', [], { countdown: '1h', ignoreResult: true, publishTimeout: '60s' });
        const answer = await see(app, 5);
        const rows = await server.list<Row>('list_queues', vhost, 'name', 'type');
        expect(rows.filter(({ name }) => LEVEL.test(name))).toHaveLength(28);
        expect(new Set(rows.filter(({ name }) => name !== app.oid).map(({ type }) => type))).toEqual(
          new Set(['quorum']),
        );
        python = await pythonWorker(side);
        ending.push(async () => python[Symbol.asyncDispose]());
        expect((await answer()).exchange).toMatch(DELAYED);
        // The levels that we declared are the ones that it wants.
        expect(python.log()).not.toMatch(/delayed delivery.*fail|fail.*delayed delivery|PRECONDITION_FAILED/i);
      });

      test('we send, Python runs; under a second it waits in the worker', { timeout: 120_000 }, async () => {
        const answers = await Promise.all([2.5, 5, 0.4].map((countdown) => see(app, countdown)));
        const seen = await Promise.all(answers.map((answer) => answer()));
        expect(seen.map(({ exchange }) => DELAYED.test(exchange))).toEqual([true, true, false]);
      });

      test('Python sends, we run', { timeout: 120_000 }, async () => {
        await work(app, 'ts');
        const sent = Date.now() / 1000;
        const outcomes = await pythonCalls(
          side,
          [1, 3, 5].map((countdown) => ({ name: 'ts.when', options: { queue: 'ts', countdown } })),
        );
        for (const [at, countdown] of [1, 3, 5].entries()) {
          const seen = outcomes[at]?.value as Seen & { readonly meant: object };
          expect(seen.started).toBeGreaterThanOrEqual(sent + countdown);
          expect(seen.exchange).toContain('celery_delayed_');
          expect(seen.meant).toMatchObject({ exchange: 'ts', routingKey: 'ts' });
        }
      });

      test('we send, we run; a queue of a direct exchange too', { timeout: 120_000 }, async () => {
        const answer = await see(app, 3, { queue: 'ts' }, 'ts.when');
        await work(app, 'straight');
        const direct = await see(app, 3, { queue: 'straight' }, 'ts.when');
        expect((await answer()).exchange).toContain('celery_delayed_');
        const seen = await direct();
        expect(seen.exchange).toContain('celery_delayed_');
        expect(seen).toMatchObject({ meant: { exchange: '', routingKey: 'straight' } });
      });
    });

    test('only our worker is there: Python finds what it declared', { timeout: 120_000 }, async () => {
      const server = await node();
      const broker = await server.vhost();
      const vhost = decodeURIComponent(new URL(broker).pathname.slice(1));
      await work(open(broker), 'ts');
      const declared = async (): Promise<boolean> => {
        const rows = await server.list<{ name: string }>('list_exchanges', vhost, 'name');
        return rows.some(({ name }) => name === 'celery_delayed_delivery');
      };
      await until(declared, { message: 'the levels are declared', timeoutMs: 60_000 });
      const sent = Date.now() / 1000;
      const side = { broker, backend: 'rpc://', config: CONFIG };
      const [outcome] = await pythonCalls(side, [{ name: 'ts.when', options: { queue: 'ts', countdown: 2 } }]);
      const seen = outcome?.value as Seen;
      expect(outcome).toMatchObject({ state: 'SUCCESS' });
      expect(seen.started).toBeGreaterThanOrEqual(sent + 2);
      expect(seen.exchange).toContain('celery_delayed_');
    });
  });
}
