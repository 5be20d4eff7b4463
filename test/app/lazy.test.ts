import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Celery, chain, every, group } from '../../src/index.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

test('defining, signing and asking for handles open no socket', async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  const url = `redis://127.0.0.1:${port}/0`;
  const app = new Celery({ broker: url, backend: url, env: {}, brokerConnectionTimeout: 1, publishTimeout: 1 });
  closers.push(() => app.close());
  const add = app.task('add', (x: number, y: number) => x + y);
  const canvas = chain(add.s(1, 2), group([add.s(3), add.s(4)]));
  app.addPeriodicTask('often', every('30s'), add.s(1, 1));
  const handle = app.result('some-id');
  await app.plan(canvas);
  expect(await add.run(1, 2)).toBe(3);
  await app.transport();
  await app.backend();
  await new Promise((resolve) => setImmediate(resolve));
  expect([connections, handle.id]).toEqual([0, 'some-id']);
  // The first call that needs the broker is what connects.
  await expect(add.delay(1, 2)).rejects.toThrow();
  expect(connections).toBeGreaterThan(0);
});

test("hooks of the app's life come once, in order", async () => {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, main: 'mine' });
  closers.push(() => app.close());
  const order: string[] = [];
  app.on('afterConfigure', ({ sender }) => {
    order.push(`configured ${sender} ${app.conf.taskDefaultQueue}`);
    app.addPeriodicTask('of the hook', every('30s'), app.remoteTask<() => void>('tick').s());
  });
  app.on('afterFinalize', ({ sender }) => void order.push(`finalized ${sender}`));
  await app.configFrom({ taskDefaultQueue: 'jobs' });
  await app.ready();
  expect(order).toEqual(['configured mine jobs', 'finalized mine']);
  expect([...app.periodicTasks.keys()]).toEqual(['of the hook']);
});
