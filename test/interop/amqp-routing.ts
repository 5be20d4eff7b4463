import { afterEach, describe, expect, test } from 'vitest';
import { broadcast, Celery, exchange, queue, type CeleryOptions } from '../../src/index.ts';
import { binding } from '../../src/messaging/index.ts';
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

    test(
      'a headers exchange that both declare: what matches arrives, whoever sends',
      { timeout: 120_000 },
      async () => {
        const broker = await (await node()).vhost();
        const ledger = new Ledger();
        ending.push(async () => ledger.dispose());
        const large = { 'x-match': 'all', kind: 'image', size: 3 };
        const either = { 'x-match': 'any', kind: 'video', urgent: true };
        const config = { interop_headers: { large, either } };
        const side: PythonSide = { broker, backend: 'disabled://', ledger: ledger.path, config };
        const media = exchange('media', { type: 'headers' });
        const app = open({
          broker,
          taskQueues: [
            queue('large', { exchange: media, bindingArguments: large }),
            queue('either', { bindings: [binding('either', media, 'either', { arguments: either })] }),
          ],
        });
        await using _python = await pythonWorker(side, { queues: 'large' });
        await work(app, { hostname: 'either@test', queues: ['either'] });
        const sent: readonly (readonly [string, Readonly<Record<string, unknown>>, boolean, boolean])[] = [
          ['both', { kind: 'image', size: 3, urgent: true }, true, true],
          ['all', { kind: 'image', size: 3 }, true, false],
          ['part', { kind: 'image', size: 4 }, false, false],
          ['any', { kind: 'video' }, false, true],
          ['last', { kind: 'image', size: 3, urgent: true }, true, true],
        ];
        const to = { exchange: 'media', routing_key: 'no-matter' };
        for (const [id, headers] of sent) {
          await app.send('shared.record', [`ours-${id}`, 1], { exchange: 'media', routingKey: 'no-matter', headers });
        }
        await pythonCalls(
          side,
          sent.map(([id, headers]) => ({
            name: 'shared.record',
            args: [`theirs-${id}`, 1],
            options: { ...to, headers },
            forget: true,
          })),
        );
        const ends = (): ReadonlyMap<string, number> => ledger.ends();
        const done = (): boolean => ['ours-last', 'theirs-last'].every((id) => count(id) === 1 && ends().get(id) === 1);
        await until(done, { message: 'the last ones ran', timeoutMs: 60_000 });
        const connection = await amqp(broker).connect();
        ending.push(() => connection.close());
        const channel = await connection.channel();
        for (const name of ['large', 'either']) expect(await channel.size(name)).toBe(0);
        await until(() => ends().size === 6, { message: 'Python has ended the others', timeoutMs: 60_000 });
        for (const [id, , python, node] of sent) {
          for (const one of [`ours-${id}`, `theirs-${id}`]) {
            expect([one, ends().get(one) ?? 0, count(one)]).toEqual([one, python ? 1 : 0, node ? 1 : 0]);
          }
        }
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
      const vhost = decodeURIComponent(new URL(reads).pathname.slice(1));
      const consumers = await server.list<{ queue_name: string }>('list_consumers', vhost, 'queue_name');
      const consumed = consumers.map(({ queue_name: name }) => name).filter((name) => !/pidbox|celeryev/.test(name));
      expect(consumed).toEqual(['celery']);
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
