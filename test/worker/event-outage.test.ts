import { afterEach, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { faultProxy } from '../support/fault-proxy.ts';
import { until } from '../support/until.ts';

/* Events of tasks that end while their worker has no broker (EV-6), as somebody hears them who never lost it. */

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

test.skipIf(missing('redis'))('what is told during an outage arrives after it, in order', async () => {
  const server = await startRedis();
  closers.push(() => server.stop());
  const proxy = await faultProxy(server.port);
  closers.push(() => proxy.close());
  const app = new Celery({
    broker: `redis://127.0.0.1:${proxy.port}/0`,
    backend: server.url(1),
    log: silentLogger,
    env: {},
  });
  closers.push(() => app.close());
  const release: (() => void)[] = [];
  app.task('held', () => new Promise<void>((resolve) => void release.push(resolve)));
  const listener = new Celery({ broker: server.url(0), log: silentLogger, env: {} });
  closers.push(() => listener.close());
  const heard: { readonly type: string; readonly uuid: string; readonly clock: number }[] = [];
  const events = listener.events({ types: ['task-started', 'task-succeeded'] });
  closers.push(() => events[Symbol.asyncDispose]());
  void (async () => {
    for await (const event of events) heard.push(event as never);
  })();
  const worker = new Worker(app, { hostname: 'w@outage', concurrency: 8, taskEvents: true });
  closers.push(() => worker.stop('cold'));
  await worker.start();
  const ids: string[] = [];
  for (let i = 0; i < 8; i++) ids.push((await listener.send('held')).id);
  await until(() => heard.length === 8, { message: 'all of them run, and somebody hears it' });

  proxy.mode = 'refuse';
  await until(() => !worker.isConsuming, { message: 'the broker is gone' });
  for (const end of release) end();
  await until(() => (worker.vitals?.eventsWaiting ?? 0) > 0, { message: 'events wait' });
  expect(heard).toHaveLength(8);
  proxy.mode = 'pass';
  await until(() => heard.length >= 16, { message: 'they arrive after it', timeoutMs: 60_000 });

  const ended = heard.filter(({ type }) => type === 'task-succeeded');
  expect(new Set(ended.map(({ uuid }) => uuid))).toEqual(new Set(ids));
  expect(ended).toHaveLength(8);
  const clocks = heard.map(({ clock }) => clock);
  expect(clocks).toEqual(clocks.toSorted((a, b) => a - b));
  expect(worker.vitals).toMatchObject({ eventsWaiting: 0, eventsDropped: 0 });
});
