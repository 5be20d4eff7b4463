import { expect, test } from 'vitest';
import { Celery, type CeleryOptions } from '../index.ts';
import { Worker } from './worker.ts';

const memory = (options: CeleryOptions = {}): Celery =>
  new Celery({ broker: 'memory://', backend: 'memory://', env: {}, ...options });

test.each([true, false])('workerEnableRemoteControl %s: who answers', async (workerEnableRemoteControl) => {
  await using app = memory({ workerEnableRemoteControl });
  app.task('add', (x: number, y: number) => x + y);
  await using worker = new Worker(app, { hostname: 'w@control' });
  await worker.start();
  expect(await (await app.send('add', [1, 2])).get({ timeout: '10s' })).toBe(3);
  const asked = app.control.ping({ destination: 'w@control', timeout: workerEnableRemoteControl ? '10s' : '300ms' });
  expect((await asked).map(({ node }) => node)).toEqual(workerEnableRemoteControl ? ['w@control'] : []);
});

test('purge drops what waits and says how much; a worker may begin with it', async () => {
  await using app = memory();
  const ran: number[] = [];
  app.task('note', (n: number) => void ran.push(n));
  for (let n = 0; n < 5; n++) await app.send('note', [n]);
  await app.send('note', [5], { queue: 'other' });
  expect(await app.control.purge({ queues: ['celery', 'nobody has this'] })).toBe(5);
  expect(await app.control.purge()).toBe(0);
  await app.send('note', [6]);
  await using worker = new Worker(app, { hostname: 'w@purge', queues: ['celery', 'other'], purge: true });
  await worker.start();
  await (await app.send('note', [7])).get({ timeout: '10s' });
  expect(ran).toEqual([7]);
});
