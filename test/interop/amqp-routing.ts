import { afterEach, describe, expect, test } from 'vitest';
import { broadcast, Celery, queue, type CeleryOptions } from '../../src/index.ts';
import { Worker, type WorkerOptions } from '../../src/worker/index.ts';
import { amqp } from '../drivers/amqp-support.ts';
import { Ledger } from '../support/ledger.ts';
import { pythonCalls, pythonWorker, type PythonSide } from '../support/python.ts';
import type { RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';

/** Which worker gets what, beside real Python Celery. @param node a RabbitMQ that others may use as well */
export function routingInterop(reason: string | undefined, node: () => Promise<RabbitServer>): void {
  describe.skipIf(reason !== undefined)('which worker gets what', () => {
    const ending: (() => Promise<unknown>)[] = [];
    afterEach(async () => {
      for (const end of ending.splice(0).reverse()) await end();
    });

    const runs: string[] = [];
    const count = (id: string): number => runs.filter((one) => one === id).length;

    function open(options: CeleryOptions): Celery {
      const app = new Celery({ backend: 'disabled://', env: {}, ...options });
      app.task('shared.record', { ignoreResult: true }, (id: string, _milliseconds: number) => void runs.push(id));
      ending.push(() => app.close());
      return app;
    }

    async function work(app: Celery, options: WorkerOptions): Promise<Worker> {
      const worker = new Worker(app, { concurrency: 1, ...options });
      ending.push(() => worker.stop('cold'));
      await worker.start();
      return worker;
    }

    test(
      'Broadcast: each worker of both languages runs it, whoever sends; worker_direct: one does',
      { timeout: 120_000 },
      async () => {
        const server = await node();
        const broker = await server.vhost();
        const vhost = decodeURIComponent(new URL(broker).pathname.slice(1));
        const ledger = new Ledger();
        ending.push(async () => ledger.dispose());
        const side: PythonSide = {
          broker,
          backend: 'disabled://',
          ledger: ledger.path,
          config: { interop_broadcast: 'reload' },
        };
        const options = (): CeleryOptions => ({
          broker,
          workerDirect: true,
          taskQueues: [queue('celery'), broadcast('reload')],
        });
        const python = await pythonWorker(side, { queues: 'celery,reload' });
        ending.push(async () => python[Symbol.asyncDispose]());
        for (const name of ['a', 'b']) await work(open(options()), { hostname: `${name}@test` });
        const sender = open(options());
        await sender.send('shared.record', ['ours', 1], { queue: 'reload' });
        await pythonCalls(side, [
          { name: 'shared.record', args: ['theirs', 1], options: { queue: 'reload' }, forget: true },
        ]);
        const done = (): boolean => ['ours', 'theirs'].every((id) => count(id) === 2 && ledger.ends().get(id) === 1);
        await until(done, { message: 'three runs each', timeoutMs: 60_000 });
        const rows = await server.list<{ name: string }>('list_queues', vhost, 'name');
        expect(rows.map(({ name }) => name)).not.toContain(sender.queues.get('reload').name);
        const toOne = { exchange: 'C.dq2', routing_key: 'b@test' };
        await pythonCalls(side, [{ name: 'shared.record', args: ['direct', 1], options: toOne, forget: true }]);
        await until(() => count('direct') === 1, { message: 'the one that was meant runs it' });
        // Nothing is left that another could still get.
        const connection = await amqp(broker).connect();
        ending.push(() => connection.close());
        const channel = await connection.channel();
        for (const name of ['a@test.dq2', 'b@test.dq2', 'celery']) expect(await channel.size(name)).toBe(0);
        expect([count('direct'), ledger.ends().get('direct')]).toEqual([1, undefined]);
      },
    );

    test('one URL to read from, another to write to; -X leaves queues to others', async () => {
      const server = await node();
      const [reads, writes] = [await server.vhost(), await server.vhost()];
      const app = open({
        broker: 'amqp://nobody@127.0.0.1:1/',
        brokerReadUrl: reads,
        brokerWriteUrl: writes,
        taskQueues: { celery: {}, others: {} },
      });
      const worker = await work(app, { hostname: 'x@test', excludeQueues: ['others'] });
      expect(worker.queues.map(({ name }) => name)).toEqual(['celery']);
      await open({ broker: reads }).send('shared.record', ['read', 1]);
      await until(() => count('read') === 1, { message: 'it reads from the one' });
      await app.send('shared.record', ['written', 1]);
      const connection = await amqp(writes).connect();
      ending.push(() => connection.close());
      expect(await (await connection.channel()).size('celery')).toBe(1);
      expect(count('written')).toBe(0);
    });
  });
}
