import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery, NotSupported, RemoteError, ResultTimeoutError, chain, chord } from '../../src/index.ts';
import { queue } from '../../src/messaging/entity.ts';
import type { Message } from '../../src/protocol/message.ts';
import { Worker } from '../../src/worker/index.ts';
import { amqp } from '../drivers/amqp-support.ts';
import { pythonCalls, pythonResults, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';
import type { RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';

/*
 * Results as messages (rpc://) between real Python Celery and us, on a real RabbitMQ.
 */

/** @param node a RabbitMQ that others may use as well */
export function rpcInterop(reason: string | undefined, node: () => Promise<RabbitServer>): void {
  describe.skipIf(reason !== undefined)('rpc results', () => {
    let broker: string;
    let side: PythonSide;
    let python: PythonWorker;
    let app: Celery;

    let server: RabbitServer;
    /** Persistent results as Python's, and transient ones. */
    const workers: Worker[] = [];

    beforeAll(async () => {
      server = await node();
      broker = await server.vhost();
      side = { broker, backend: 'rpc://', config: { result_persistent: true } };
      const serve = async (queueName: string, resultPersistent: boolean): Promise<void> => {
        const own = new Celery({ broker, backend: 'rpc://', resultPersistent });
        own.task('ts.echo', (value: unknown) => value);
        own.task('ts.fail', (text: string) => {
          throw new TypeError(text);
        });
        own.task('ts.flaky', { bind: true, maxRetries: 3 }, (ctx, times: number): number => {
          if (ctx.retries < times) throw ctx.retry({ countdown: '200ms' });
          return ctx.retries;
        });
        const worker = new Worker(own, { queues: [queueName], hostname: `${queueName}@test`, concurrency: 4 });
        workers.push(worker);
        await worker.start();
      };
      app = new Celery({ broker, backend: 'rpc://' });
      [python] = await Promise.all([pythonWorker(side), serve('ts', true), serve('transient', false)]);
    });

    afterAll(async () => {
      for (const worker of workers) {
        await worker.stop('cold');
        await worker.app.close();
      }
      await app?.close();
      await python?.[Symbol.asyncDispose]();
    });

    test('Python sends, we run, Python reads', async () => {
      const options = { queue: 'ts' };
      const outcomes = await pythonCalls(side, [
        { name: 'ts.echo', args: [{ deep: [1, null, 'ü'] }], options },
        { name: 'ts.fail', args: ['from node'], options },
        { name: 'ts.flaky', args: [2], options: { queue: 'transient' } },
        { name: 'ts.nobody', options },
        { name: 'ts.echo', args: [1], options: { ...options, countdown: 1, expires: 0.1 } },
      ]);
      expect(outcomes[0]).toMatchObject({ state: 'SUCCESS', value: { deep: [1, null, 'ü'] } });
      expect(outcomes[1]).toMatchObject({ state: 'FAILURE', error: 'TypeError', args: ['from node'] });
      expect(outcomes[1]?.traceback).toContain('from node');
      expect(outcomes[2]).toMatchObject({ state: 'SUCCESS', value: 2 });
      expect(outcomes[3]).toMatchObject({ state: 'FAILURE', error: 'NotRegistered' });
      expect(outcomes[4]).toMatchObject({ state: 'REVOKED', error: 'TaskRevokedError' });
    });

    test('we send, Python runs, we read; a chain crosses both', async () => {
      const values = [null, 1.5, 'ü €', [1, [2]], { a: { b: 1 } }];
      const handles = await Promise.all(values.map((value) => app.send('py.echo', [value])));
      expect(await Promise.all(handles.map((one) => one.get({ timeout: '20s' })))).toEqual(values);
      const error: unknown = await (await app.send('py.fail', ['it broke'])).get({ timeout: '20s' }).catch((e) => e);
      expect(error).toBeInstanceOf(RemoteError);
      expect(error).toMatchObject({ type: 'ValueError', module: 'builtins', args: ['it broke'] });
      const echo = app.remoteTask<(value: number) => number>('ts.echo', { queue: 'ts' });
      const add = app.remoteTask<(x: number, y: number) => number>('py.add');
      const handle = await chain(echo.s(1), add.s(2), echo.s(), add.s(4)).delay();
      expect(await handle.get({ timeout: '20s' })).toBe(7);
      expect(await handle.parent?.get({ timeout: '20s' })).toBe(3);
    });

    test('the reply queue is declared as Python declares it', async () => {
      const vhost = decodeURIComponent(new URL(broker).pathname.slice(1));
      await (await app.send('py.echo', [1])).get({ timeout: '20s' });
      const columns = ['name', 'durable', 'auto_delete', 'exclusive', 'arguments'];
      const rows = await server.list<Record<string, unknown>>('list_queues', vhost, ...columns);
      const row = rows.find(({ name }) => name === app.oid);
      // RabbitMQ 4 writes down its default type as well.
      const said = ((row?.['arguments'] ?? []) as readonly unknown[][]).filter(([name]) => name !== 'x-queue-type');
      expect({ ...row, arguments: said }).toEqual({
        name: app.oid,
        durable: false,
        auto_delete: true,
        exclusive: false,
        arguments: [['x-expires', 'signedint', 86_400_000]],
      });
      // Workers that send nothing of their own have no queue.
      for (const worker of workers) expect(rows.map(({ name }) => name)).not.toContain(worker.app.oid);
    });

    test('a result is the same message from both', async () => {
      const connection = await amqp(broker).connect();
      const channel = await connection.channel();
      const replies = queue('replies');
      const seen: Message[] = [];
      await channel.declare(replies);
      await channel.consume(replies, ({ message }) => void seen.push(message), { prefetch: 0, noAck: true });
      try {
        for (const [task, to] of [
          ['py.echo', 'celery'],
          ['ts.echo', 'ts'],
          ['ts.echo', 'transient'],
        ] as const) {
          const before = seen.length;
          await app.send(task, ['x'], { taskId: 'same-id', replyTo: 'replies', queue: to });
          await until(() => seen.length > before, { message: `the result from ${to}` });
        }
        // Spaces and escapes of the JSON text differ, the order of the keys does not.
        const [theirs, ours, transient] = seen.map((message) => ({
          ...message,
          body: JSON.stringify(JSON.parse(Buffer.from(message.body).toString())),
        }));
        expect(ours).toEqual(theirs);
        expect(ours?.properties).toMatchObject({ correlationId: 'same-id', deliveryMode: 2, priority: 0 });
        expect(transient).toEqual({ ...theirs, properties: { ...theirs?.properties, deliveryMode: 1 } });
      } finally {
        await connection.close();
      }
    });

    test('a second reader gets nothing, of either language, persistent or not; chords are refused', async () => {
      await using other = new Celery({ broker, backend: 'rpc://', resultPersistent: true });
      const sent = ['ts', 'transient', 'celery'].map((to) =>
        app.send<string>(to === 'celery' ? 'py.echo' : 'ts.echo', [to], { queue: to }),
      );
      for (const handle of await Promise.all(sent)) {
        expect(await handle.get({ timeout: '20s' })).toBeTypeOf('string');
        // Who sent it may ask again; nobody else may.
        expect(await handle.get({ timeout: '20s' })).toBeTypeOf('string');
        const second = other.result(handle.id);
        expect(await second.state()).toBe('PENDING');
        await expect(second.get({ timeout: '200ms' })).rejects.toBeInstanceOf(ResultTimeoutError);
        const [theirs] = await pythonResults(side, [{ op: 'facts', id: handle.id }]);
        expect(theirs).toMatchObject({ state: 'PENDING' });
      }
      const echo = app.remoteTask<(value: unknown) => unknown>('py.echo');
      const refused: unknown = await chord([echo.s(1), echo.s(2)], echo.s())
        .delay()
        .catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(NotSupported);
      expect((refused as Error).message).toMatch(/^chords need a result backend that keeps/);
    });

    test('results in MessagePack, both ways', { timeout: 120_000 }, async () => {
      const format = 'msgpack';
      const settings = {
        task_serializer: format,
        result_serializer: format,
        accept_content: ['json', format],
        result_accept_content: [format],
        result_persistent: true,
      };
      const own = { broker: await server.vhost(), backend: 'rpc://', config: settings };
      await using client = new Celery({ ...settings, broker: own.broker, backend: 'rpc://', env: {} });
      client.task('ts.echo', (value: unknown) => value);
      client.task('ts.fail', (text: string) => {
        throw new TypeError(text);
      });
      const worker = new Worker(client, { queues: ['ts'], hostname: 'msgpack@test' });
      await using _python = await pythonWorker(own);
      await worker.start();
      try {
        const values: readonly unknown[] = [null, 1.5, 2 ** 53 - 1, 'ü €', [1, [2]], { a: { b: [] } }];
        const bytes = Uint8Array.of(0, 1, 255);
        const handles = await Promise.all([...values, bytes].map((value) => client.send('py.echo', [value])));
        expect(await Promise.all(handles.map((one) => one.get({ timeout: '20s' })))).toEqual([...values, bytes]);
        const error: unknown = await (
          await client.send('py.fail', ['it broke'])
        )
          .get({ timeout: '20s' })
          .catch((failure: unknown) => failure);
        expect(error).toMatchObject({ name: 'RemoteError', type: 'ValueError', args: ['it broke'] });
        const options = { queue: 'ts' };
        const outcomes = await pythonCalls(own, [
          ...values.map((value) => ({ name: 'ts.echo', args: [value], options })),
          { name: 'ts.fail', args: ['from node'], options },
        ]);
        expect(outcomes.slice(0, -1).map(({ value }) => value)).toEqual(values);
        expect(outcomes.at(-1)).toMatchObject({ state: 'FAILURE', error: 'TypeError', args: ['from node'] });
        // What travels is MessagePack from both.
        const connection = await amqp(own.broker).connect();
        const channel = await connection.channel();
        await channel.declare(queue('replies'));
        for (const [name, to] of [
          ['py.echo', 'celery'],
          ['ts.echo', 'ts'],
        ] as const) {
          await client.send(name, ['x'], { replyTo: 'replies', queue: to });
          const reply = await until(() => channel.get('replies'), { message: `the result of ${name}` });
          expect(reply.message.contentType).toBe('application/x-msgpack');
          await reply.ack();
        }
        await connection.close();
      } finally {
        await worker.stop('cold');
      }
    });
  });
}
