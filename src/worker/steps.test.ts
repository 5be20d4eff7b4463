import { expect, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { Celery, OperationalError, queue, UsageError } from '../index.ts';
import { Connection } from '../messaging/index.ts';
import { systemClock } from '../runtime/clock.ts';
import { systemRandom } from '../runtime/random.ts';
import { silentLogger } from '../runtime/logger.ts';
import { createTransport } from '../transports/memory.ts';
import type { Connection as BrokerConnection, Transport } from '../transports/transport.ts';
import { consumerStep, Worker, type Step, type StepScope } from './index.ts';
import { inOrder } from './step-order.ts';

const newApp = (broker: string | Transport = 'memory://'): Celery => new Celery({ broker, backend: 'memory://' });

/** A step that writes down what happens to it. */
function traced(told: string[], name: string, more: Partial<Step> = {}): Step {
  const tell = (what: string) => (): void => void told.push(`${what} ${name}`);
  return { name, start: tell('start'), close: tell('close'), stop: tell('stop'), ...more };
}

test('each step comes after what it requires, and as early as that allows', () => {
  const order = inOrder(
    [
      { name: 'c', requires: ['pool'] },
      { name: 'b', requires: ['a'] },
      { name: 'a' },
      { name: 'pool' },
      { name: 'consumer', requires: ['pool'] },
    ],
    'worker',
  );
  expect(order.map(({ name }) => name)).toEqual(['a', 'b', 'pool', 'c', 'consumer']);
});

test('steps without an order are refused with a reason', () => {
  const circle = [{ name: 'x', requires: ['a'] }, ...['a', 'b', 'c'].map((name) => ({ name, requires: [next(name)] }))];
  expect(() => inOrder(circle, 'worker')).toThrow(
    new UsageError('steps of the worker require each other: a → b → c → a'),
  );
  expect(() => inOrder([{ name: 'a', requires: ['pol'] }, { name: 'pool' }], 'worker')).toThrow(
    'the step "a" requires "pol", which the worker does not have: did you mean "pool"?',
  );
  expect(() => inOrder([{ name: 'a' }, { name: 'a' }], 'consumer')).toThrow('two steps of the consumer');
  const app = newApp();
  app.steps.worker.add({ name: 'a' });
  expect(() => app.steps.worker.add({ name: 'a' })).toThrow('the step "a" is there already');
});

const next = (name: string): string => ({ a: 'b', b: 'c', c: 'a' })[name] as string;

test('steps start around the pool and the consumer, and stop the other way round', async () => {
  const app = newApp();
  const told: string[] = [];
  app.task('work', () => void told.push('task'));
  app.steps.worker.add(traced(told, 'server', { requires: ['consumer'] }));
  app.steps.worker.add(traced(told, 'cache', { requires: ['pool', 'database'] }));
  app.steps.worker.add(() => traced(told, 'database'));
  app.steps.worker.add(traced(told, 'left out', { includeIf: ({ pool }) => pool.name === 'none' }));
  const worker = new Worker(app);
  await worker.start();
  await (await app.send('work')).get({ timeout: '10s' });
  await worker.stop();
  await app.close();
  expect(told).toEqual([
    ...['start database', 'start cache', 'start server', 'task'],
    ...['close database', 'close cache', 'close server', 'stop server', 'stop cache', 'stop database'],
  ]);
});

test('a cold stop terminates, and a step that fails to stop does not hold the others', async () => {
  const app = newApp();
  const told: string[] = [];
  app.steps.worker.add(traced(told, 'a', { terminate: () => void told.push('terminate a') }));
  app.steps.worker.add(traced(told, 'b', { requires: ['a'], stop: () => Promise.reject(new Error('no')) }));
  app.steps.worker.add({
    name: 'hangs',
    requires: ['consumer'],
    timeout: '50ms',
    stop: () => new Promise<void>(() => undefined),
  });
  const worker = new Worker(app);
  await worker.start();
  await worker.stop('cold');
  await app.close();
  expect(told.slice(-1)).toEqual(['terminate a']);
});

test('a step that fails to start ends the worker, and what had begun stops', async () => {
  const app = newApp();
  const told: string[] = [];
  app.steps.worker.add(traced(told, 'first'));
  app.steps.worker.add({ name: 'broken', start: () => Promise.reject(new RangeError('no room')) });
  app.steps.worker.add(traced(told, 'never'));
  const worker = new Worker(app);
  await expect(worker.run()).rejects.toThrow(new RangeError('no room'));
  expect(told).toEqual(['start first', 'close first', 'stop first']);

  const slow = newApp();
  slow.steps.worker.add({ name: 'slow', timeout: '20ms', start: () => new Promise<void>(() => undefined) });
  await expect(new Worker(slow).start()).rejects.toThrow('the step "slow" did not start within 0.02 s');
  await Promise.all([app.close(), slow.close()]);
});

test('a worker whose steps have no order does not start', async () => {
  const app = newApp();
  app.steps.consumer.add({ name: 'a', requires: ['b'] });
  app.steps.consumer.add({ name: 'b', requires: ['a'] });
  await expect(new Worker(app).start()).rejects.toThrow('steps of the consumer require each other: a → b → a');
  await app.close();
});

/** A broker whose connections a test can cut. */
function cuttable(): { transport: Transport; cut: () => void; connects: () => number } {
  const inner = createTransport('memory://', {}, { clock: systemClock, random: systemRandom(), log: silentLogger });
  const open = new Set<(error: Error) => void>();
  let connects = 0;
  const transport: Transport = Object.create(inner, {
    connect: {
      value: async (): Promise<BrokerConnection> => {
        const connection = await inner.connect();
        connects++;
        const closed = new Promise<Error | undefined>((resolve) => {
          open.add(resolve);
          void connection.closed.then(resolve);
        });
        return Object.create(connection, {
          closed: { value: closed },
          close: { value: () => connection.close() },
          channel: { value: () => connection.channel() },
        }) as BrokerConnection;
      },
    },
    name: { value: 'memory' },
    capabilities: { value: inner.capabilities },
    info: { value: inner.info },
    displayUrl: { value: 'memory://' },
  }) as Transport;
  const cut = (): void => {
    for (const end of open) end(new OperationalError('cut', { recoverable: true }));
    open.clear();
  };
  return { transport, cut, connects: () => connects };
}

test('steps of the consumer begin anew with each connection', async () => {
  const broker = cuttable();
  const app = newApp(broker.transport);
  const told: string[] = [];
  const connections = new Set<unknown>();
  app.steps.consumer.add(traced(told, 'after tasks', { requires: ['tasks'] }));
  app.steps.consumer.add({
    name: 'before control',
    start: ({ connection, hostname }) => void told.push(`start ${hostname}`, String(connections.add(connection).size)),
    stop: () => void told.push('stop before control'),
  });
  const worker = new Worker(app, { hostname: 'w@h' });
  await worker.start();
  broker.cut();
  await until(() => told.length === 8 && worker.isConsuming);
  await worker.stop();
  await app.close();
  const begin = (count: string): string[] => ['start w@h', count, 'start after tasks'];
  const end = ['stop after tasks', 'stop before control'];
  expect(told).toEqual([...begin('1'), ...end, ...begin('2'), 'close after tasks', ...end]);
});

test('a step of the consumer that fails ends the worker with its reason', async () => {
  const app = newApp();
  app.steps.consumer.add({ name: 'broken', start: () => Promise.reject(new RangeError('no room')) });
  const { error } = await new Worker(app).run();
  expect(error?.message).toBe('a step of the consumer failed: no room');
  await app.close();
});

test('what a step is given works', async () => {
  const app = newApp();
  let scope!: StepScope;
  app.steps.worker.add({
    name: 'keeper',
    requires: ['consumer'],
    start: (given) => void (scope = given),
    info: () => ({ mine: 1 }),
  });
  await using worker = new Worker(app, { concurrency: 2, prefetchMultiplier: 3, userOptions: { cacheSize: 7 } });
  await worker.start();
  const stats = await app.control.inspect({ timeout: '20s', limit: 1 }).stats();
  expect(Object.values(stats)[0]).toMatchObject({ mine: 1, prefetch_count: 6 });
  expect(scope.options).toEqual({ cacheSize: 7 });
  expect(scope.qos.value).toBe(6);
  scope.qos.adjust(2);
  expect(scope.qos.value).toBe(8);
  await scope.pool.resize(4);
  expect([scope.pool.size, scope.qos.value]).toEqual([4, 14]);
  const events = app.events({ signal: AbortSignal.timeout(20_000) });
  await events.ready();
  let ticks = 0;
  const timer = scope.timer.every('5ms', () => {
    if (++ticks === 2) throw new Error('logged, and that is all');
    if (ticks === 3) scope.events.send('worker-mood', { good: true });
  });
  for await (const event of events) {
    if ((event.type as string) !== 'worker-mood') continue;
    expect(event).toMatchObject({ good: true, hostname: worker.hostname });
    break;
  }
  timer.cancel();
  await scope.addQueue(queue('extra'));
  app.task('add', (x: number, y: number) => x + y);
  expect(await (await app.send('add', [1, 2], { queue: 'extra' })).get({ timeout: '10s' })).toBe(3);
  await scope.cancelQueue('extra');
  expect(scope.active()).toEqual([]);
  scope.stop('enough');
  expect(await worker.run()).toMatchObject({ reason: 'enough' });
  await app.close();
});

test('messages that are no tasks, beside tasks', async () => {
  const app = newApp();
  const seen: unknown[] = [];
  const orders = queue('orders');
  app.steps.worker.add(
    consumerStep<{ n: number }>({
      name: 'orders',
      queues: orders,
      prefetchCount: 5,
      onMessage: async (message, { hostname }) => {
        if (message.payload.n === 2) throw new RangeError('two');
        await message.ack();
        seen.push([message.payload.n, hostname]);
      },
    }),
  );
  const worker = new Worker(app, { hostname: 'w@h' });
  await worker.start();
  await using connection = new Connection(await app.transport());
  for (const n of [1, 2, 3]) await connection.producer().publish({ n }, { routingKey: 'orders' });
  await until(() => seen.length === 2);
  const stats = await app.control.inspect({ timeout: '20s', limit: 1 }).stats();
  expect(Object.values(stats)[0]).toMatchObject({ orders: { queues: ['orders'], handled: 2 } });
  await worker.stop();
  await connection.producer().publish({ n: 4 }, { routingKey: 'orders' });
  expect(await connection.size(orders)).toBe(1);
  expect(seen).toEqual([
    [1, 'w@h'],
    [3, 'w@h'],
  ]);
  await app.close();
});
