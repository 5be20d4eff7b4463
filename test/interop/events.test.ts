import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ClusterState } from '../../src/events/index.ts';
import { Celery } from '../../src/index.ts';
import type { CeleryEvent } from '../../src/protocol/event-types.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { celeryCli, pythonMonitor, pythonWorker, type PythonSide } from '../support/python.ts';
import { until } from '../support/until.ts';

/*
 * Events over a real Redis: Python Celery's workers watched by us, our workers watched by Python.
 */

const reason = missing('redis') ?? missing('python');

describe.skipIf(reason !== undefined)(`events on Redis${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  let side: PythonSide;
  let app: Celery;

  beforeAll(async () => {
    redis = await startRedis();
    side = { broker: redis.url(0), backend: redis.url(1) };
    app = new Celery({ ...side, taskSendSentEvent: true });
    app.task('ts.add', (x: number, y: number) => x + y);
    app.task('ts.fail', (text: string) => {
      throw new TypeError(text);
    });
  });

  afterAll(async () => {
    await app?.close();
    await redis?.stop();
  });

  test('we read what a Python worker tells, and know its state', async () => {
    await using events = app.events({ timeout: '20s' });
    await events.ready();
    // Celery loses events with threads: it empties the buffer of a group after publishing it, also of what came meanwhile.
    await using python = await pythonWorker(side, { name: 'py@test', pool: 'prefork' });
    const state = new ClusterState();
    const seen: CeleryEvent[] = [];
    const follow = async (done: () => boolean): Promise<void> => {
      const deadlineMs = Date.now() + 20_000;
      while (!done()) {
        const { value, done: over } = await events.next();
        if (over || Date.now() > deadlineMs) {
          throw new Error(`waited in vain; events: ${JSON.stringify(seen)}; the worker: ${python.log()}`);
        }
        seen.push(value);
        state.apply(value);
      }
    };
    await follow(() => state.workers.peek('py@test') !== undefined);
    // Python says that it is online before it listens to remote control.
    await until(async () => (await app.control.enableEvents({ reply: true })).length > 0);
    const good = await app.send('py.add', [2, 3]);
    const bad = await app.send('py.fail', ['it broke']);
    await follow(() => [good, bad].every(({ id }) => state.tasks.peek(id)?.ready));
    expect(state.tasks.peek(good.id)).toMatchObject({
      name: 'py.add',
      args: '(2, 3)',
      state: 'SUCCESS',
      result: '5',
      queue: 'celery',
      client: app.origin,
      worker: { hostname: 'py@test', sw_ident: 'py-celery' },
    });
    expect(state.tasks.peek(bad.id)).toMatchObject({ state: 'FAILURE', exception: "ValueError('it broke')" });
    expect(state.tasks.peek(bad.id)?.traceback).toContain('raise ValueError(');
    const ofTask = seen.filter((event) => 'uuid' in event && event.uuid === good.id).map(({ type }) => type);
    // The producer tells after it sent: the worker may be faster.
    expect(ofTask.filter((type) => type !== 'task-sent')).toEqual(['task-received', 'task-started', 'task-succeeded']);
    expect(ofTask).toContain('task-sent');
    expect(state.aliveWorkers(Date.now() / 1000).map(({ hostname }) => hostname)).toContain('py@test');
  });

  test('Python’s `celery events --dump` prints what our worker tells', async () => {
    await using dump = pythonMonitor(side, ['events', '--dump']);
    await until(() => dump.output().includes('starting capture'), { message: 'the dump listens', timeoutMs: 30_000 });
    await using worker = new Worker(app, { hostname: 'ts@test', queues: ['ts'], heartbeatInterval: '500ms' });
    await worker.start();
    await until(() => /ts@test \[.*\] heartbeat:.*freq=0\.5/.test(dump.output()), { message: 'a heartbeat' });
    expect(await celeryCli(side, 'control', 'enable_events')).toMatchObject({ code: 0 });
    const id = 'watched-by-python';
    await app.send('ts.add', [2, 3], { queue: 'ts', taskId: id });
    await app.send('ts.fail', ['it broke'], { queue: 'ts', taskId: `${id}-2` });
    await until(() => /task succeeded: .*result=5/.test(dump.output()), { message: 'succeeded' });
    await until(() => /task failed: .*exception=TypeError\('it broke'\)/.test(dump.output()), { message: 'failed' });
    await worker.stop();
    await until(() => /ts@test \[.*\] shutdown/.test(dump.output()), { message: 'offline' });
    const output = dump.output();
    expect(output).toMatch(/ts@test \[.*\] started:.*active=0.*sw_ident=celeriac, sw_sys=Linux/);
    const sent = `task sent: ts.add(${id}) args=(2, 3) kwargs={}`;
    await until(() => dump.output().includes(sent), { message: 'sent' });
    expect(output).toContain(`task received: ts.add(${id}) args=(2, 3) kwargs={}`);
    expect(output).toContain(`task started: ts.add(${id})`);
  });

  test('a lost connection is made again, and events after it arrive', async () => {
    const lost: Error[] = [];
    await using events = app.events<{ type: 'task-note'; n: number }>({
      wakeup: false,
      onLost: (error) => lost.push(error),
    });
    await events.ready();
    await redis.client(0).call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => lost.length > 0, { message: 'the loss was noticed' });
    let n = 0;
    const next = events.next();
    let arrived = false;
    void next.then(() => (arrived = true));
    await until(async () => {
      await app.publishEvent('task-note', { uuid: 'u', n: n++ });
      return arrived;
    });
    expect((await next).value).toMatchObject({ type: 'task-note', uuid: 'u' });
  });
});
