import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ClusterState } from '../../src/events/index.ts';
import { Celery } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { missing } from '../support/available.ts';
import { celeryCli, pythonMonitor, pythonWorker, type PythonSide } from '../support/python.ts';
import { startRabbit, type RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';

/*
 * Events over a real RabbitMQ, where they are a topic exchange and queues that expire.
 */

const reason = missing('rabbitmq') ?? missing('python');

describe.skipIf(reason !== undefined)(
  `events on RabbitMQ${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    let rabbit: RabbitServer;
    let side: PythonSide;
    let app: Celery;

    beforeAll(async () => {
      rabbit = await startRabbit();
      side = { broker: rabbit.url(), backend: 'rpc://' };
      app = new Celery({ broker: side.broker, backend: 'disabled://', taskSendSentEvent: true });
      app.task('ts.add', (x: number, y: number) => x + y);
    });

    afterAll(async () => {
      await app?.close();
      await rabbit?.stop();
    });

    test('a Python worker as we see it, through its own queue', async () => {
      await using events = app.events({ timeout: '20s' });
      await events.ready();
      const queues = await rabbit.list<{ name: string; arguments: unknown }>('list_queues', '/', 'name', 'arguments');
      const own = queues.filter(({ name }) => name.startsWith('celeryev.'));
      expect(own).toHaveLength(1);
      expect(JSON.stringify(own)).toMatch(/"x-expires".*60000/);
      expect(JSON.stringify(own)).toMatch(/"x-message-ttl".*5000/);
      // Celery loses events with threads: it empties the buffer of a group after publishing it, also of what came meanwhile.
      await using python = await pythonWorker(side, { name: 'py@test', pool: 'prefork' });
      await until(async () => (await app.control.enableEvents({ reply: true })).length > 0);
      const { id } = await app.send('py.add', [2, 3]);
      const state = new ClusterState();
      for await (const event of events) {
        state.apply(event);
        if (state.tasks.peek(id)?.ready && state.tasks.peek(id)?.client) break;
      }
      expect(state.tasks.peek(id), python.log()).toMatchObject({ state: 'SUCCESS', result: '5', name: 'py.add' });
      expect(state.workers.peek('py@test')?.sw_ident).toBe('py-celery');
    });

    test('our worker as `celery events --dump` sees it', async () => {
      await using dump = pythonMonitor(side, ['events', '--dump']);
      await until(() => dump.output().includes('starting capture'), { message: 'the dump listens', timeoutMs: 30_000 });
      await using worker = new Worker(app, { hostname: 'ts@test', queues: ['ts'], heartbeatInterval: '500ms' });
      await worker.start();
      await until(() => /ts@test \[.*\] heartbeat:.*freq=0\.5/.test(dump.output()), { message: 'a heartbeat' });
      expect(await celeryCli(side, 'control', 'enable_events')).toMatchObject({ code: 0 });
      await app.send('ts.add', [2, 3], { queue: 'ts', taskId: 'seen' });
      await until(() => /task succeeded: ts\.add\(seen\).*result=5/.test(dump.output()), { message: 'succeeded' });
      const sent = 'task sent: ts.add(seen) args=(2, 3) kwargs={}';
      await until(() => dump.output().includes(sent), { message: 'sent' });
    });
  },
);
