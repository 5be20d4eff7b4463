import { afterEach, expect, test } from 'vitest';
import { Celery } from './celery.ts';
import { Worker } from '../worker/worker.ts';

let opened: { app: Celery; worker: Worker } | undefined;
afterEach(async () => {
  await opened?.worker.stop('cold');
  await opened?.app.close();
});

test('there are nine, and those that stand for others send them', async () => {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, resultChordRetryInterval: 0.05 });
  const add = app.task('add', (x: number, y: number) => x + y);
  const total = app.task('total', (all: number[]) => all.reduce((a, b) => a + b, 0));
  const worker = new Worker(app, { concurrency: 4 });
  opened = { app, worker };
  await worker.start();
  const builtIn = [
    'accumulate',
    'backend_cleanup',
    'chain',
    'chord',
    'chord_unlock',
    'chunks',
    'group',
    'map',
    'starmap',
  ];
  expect(app.tasks.names().filter((name) => name.startsWith('celery.'))).toEqual(
    builtIn.map((name) => `celery.${name}`),
  );

  const sent = async (name: string, args: unknown[], kwargs = {}): Promise<unknown> => {
    const handle = await app.send<Parameters<typeof app.resultFrom>[0]>(`celery.${name}`, args, { kwargs });
    return app.resultFrom(await handle.get({ timeout: '10s' })).get({ timeout: '10s' });
  };
  const lists = [
    [1, 1],
    [2, 2],
    [3, 3],
  ];
  const task = { ...add.s(0, 0).toJSON(), args: [] };
  expect(await sent('chunks', [task, lists, 2])).toEqual([[2, 4], [6]]);
  expect(await sent('group', [], { tasks: [add.s(1, 2).toJSON(), add.s(3, 4).toJSON()] })).toEqual([3, 7]);
  expect(await sent('chord', [[add.s(1, 2).toJSON(), add.s(3, 4).toJSON()], total.s().toJSON()])).toBe(10);
  await expect((await app.send('celery.chain', [])).get({ timeout: '10s' })).rejects.toThrow('a chain is not a task');
});
