import { expect, test } from 'vitest';
import { Celery } from './celery.ts';
import type { Logger } from '../runtime/logger.ts';
import { exchange, queue } from '../messaging/entity.ts';
import type { Delivery, Transport } from '../transports/transport.ts';

const warnings: string[] = [];
const quiet = (): void => {};
const log: Logger = {
  debug: quiet,
  info: quiet,
  error: quiet,
  fatal: quiet,
  warn: (_fields, message) => void warnings.push(message),
  child: () => log,
};

async function sentBy(app: Celery, queueName = 'celery'): Promise<Delivery | undefined> {
  const connection = await (await app.transport()).connect();
  const delivery = await (await connection.channel()).get(queueName);
  await delivery?.ack();
  await connection.close();
  return delivery;
}

test('an expiry that has passed goes out with no time left, and a warning', async () => {
  const app = new Celery({ broker: 'memory://', env: {}, log });
  warnings.length = 0;
  await app.send('late', [], { expires: new Date(0) });
  expect(warnings).toEqual(['the task has expired before it was sent']);
  await app.send('early', [], { expires: '1h' });
  expect(warnings).toHaveLength(1);
  await app.close();
});

test('properties of the application’s own travel with the message', async () => {
  const app = new Celery({ broker: 'memory://', env: {}, log });
  await app.send('one', [], { properties: { MessageGroupId: 'orders' } });
  expect((await sentBy(app))?.message.properties.extra).toEqual({ MessageGroupId: 'orders' });
  await app.close();
});

test('eager calls: errors where asked, results where asked, send() publishes all the same and says so', async () => {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, log, taskAlwaysEager: true });
  const fails = app.task('fails', () => {
    throw new RangeError('no');
  });
  const works = app.task('works', () => 4);
  expect(await (await fails.delay()).state()).toBe('FAILURE');
  const plain = await works.delay();
  expect(await (await app.backend()).load(plain.id)).toBeUndefined();
  warnings.length = 0;
  await app.send('works');
  expect(warnings[0]).toContain('taskAlwaysEager has no effect on send()');
  expect((await sentBy(app))?.message.headers['task']).toBe('works');
  await app.close();

  const strict = new Celery({
    broker: 'memory://',
    backend: 'memory://',
    env: {},
    log,
    taskAlwaysEager: true,
    taskEagerPropagates: true,
    taskStoreEagerResult: true,
  });
  const stored = await strict.task('works', () => 4).delay();
  expect(await (await strict.backend()).load(stored.id)).toMatchObject({ status: 'SUCCESS', result: 4 });
  const throwing = strict.task('fails', () => {
    throw new RangeError('no');
  });
  await expect(throwing.delay()).rejects.toThrow('no');
  await strict.close();
});

test('what a call declares is there before its message', async () => {
  const app = new Celery({ broker: 'memory://', env: {}, log });
  const orders = exchange('orders', { type: 'topic' });
  await app.send('one', [], {
    exchange: 'orders',
    routingKey: 'orders.new',
    declare: [orders, queue('audit', { exchange: orders, routingKey: 'orders.#' })],
  });
  const connection = await (await app.transport()).connect();
  const delivery = await (await connection.channel()).get('audit');
  expect(delivery?.message.headers['task']).toBe('one');
  await connection.close();
  await app.close();
});

test('a batch: many calls, one wait, handles in their order; a failure is told after the others', async () => {
  const app = new Celery({ broker: 'memory://', env: {}, log });
  const add = app.task('add', (x: number, y: number) => x + y);
  const handles = await app.batch(async (batch) => {
    for (let i = 0; i < 3000; i++) await batch.send('one', [i], { taskId: `id-${i}` });
    await batch.add(add.s(1, 2).set({ taskId: 'last' }));
  });
  expect(handles.map(({ id }) => id)).toEqual([...Array.from({ length: 3000 }, (_, i) => `id-${i}`), 'last']);
  const connection = await (await app.transport()).connect();
  const channel = await connection.channel();
  expect(await channel.size('celery')).toBe(3001);
  const failing = app.batch((batch) => {
    void batch.send('bad', [Symbol('no')]);
    void batch.send('good');
  });
  await expect(failing).rejects.toThrow();
  expect(await channel.size('celery')).toBe(3002);
  await connection.close();
  await app.close();
});

test('options of a remote task go with every call of it; those of the call win', async () => {
  const app = new Celery({ broker: 'memory://', env: {}, log });
  const train = app.remoteTask<(n: number) => void>('ml.train', { queue: 'gpu', priority: 4 });
  await train.delay(1);
  expect((await sentBy(app, 'gpu'))?.message.properties.priority).toBe(4);
  await train.applyAsync([2], { priority: 7 });
  expect((await sentBy(app, 'gpu'))?.message.properties.priority).toBe(7);
  await train.applyAsync([3], { queue: 'cpu' });
  expect((await sentBy(app, 'cpu'))?.message.properties.priority).toBe(4);
  await app.close();
});

test('publishing to a broker that never answers ends by the setting publishTimeout', async () => {
  const never = new Promise<never>(() => {});
  const channel = { declare: async () => {}, publish: () => never, close: async () => {} };
  const connection = { closed: never, channel: async () => channel, close: async () => {} };
  const broker = { name: 'deaf', displayUrl: 'deaf://', connect: async () => connection } as unknown as Transport;
  const app = new Celery({ broker, env: {}, log, publishTimeout: 0.05 });
  await expect(app.send('any')).rejects.toThrow('the broker did not take the message within 50 ms');
  await app.close();
});
