import { expect, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { Celery } from '../index.ts';
import { systemClock } from '../runtime/clock.ts';
import { silentLogger } from '../runtime/logger.ts';
import { systemRandom } from '../runtime/random.ts';
import { createTransport } from '../transports/memory.ts';
import { Worker } from '../worker/index.ts';
import { broadcast, isBroadcast } from './broadcast.ts';
import { exchange, queue } from './entity.ts';

test('a queue of its own for each definition, behind one exchange', () => {
  const random = { next: () => 0, uuid: () => 'id' };
  expect(broadcast('reload', { random })).toEqual(
    queue('bcast.id', {
      alias: 'reload',
      exchange: exchange('reload', { type: 'fanout' }),
      routingKey: '',
      autoDelete: true,
    }),
  );
  expect(broadcast('reload').name).not.toBe(broadcast('reload').name);
  expect(broadcast('reload', { queue: 'mine' }).name).toBe('mine');
  expect(broadcast('reload', { queue: 'mine', unique: true, random }).name).toBe('mine.id');
  expect(
    [broadcast('reload'), queue('a'), queue('b', { exchange: exchange('b', { type: 'fanout' }) })].map(isBroadcast),
  ).toEqual([true, false, false]);
});

test('three workers, three runs; who sends leaves no queue behind', async () => {
  const broker = createTransport('memory://', {}, { clock: systemClock, random: systemRandom(), log: silentLogger });
  const runs: string[] = [];
  const open = (name: string): Celery => {
    const app = new Celery({
      broker,
      backend: 'memory://',
      env: {},
      log: silentLogger,
      taskQueues: [queue('celery'), broadcast('reload')],
    });
    app.task('reload', { ignoreResult: true }, () => void runs.push(name));
    return app;
  };
  const apps = ['a', 'b', 'c', 'sender'].map(open);
  const workers = apps.slice(0, 3).map((app) => new Worker(app, { concurrency: 1 }));
  try {
    for (const worker of workers) await worker.start();
    await apps[3]?.send('reload', [], { queue: 'reload' });
    await until(() => runs.length === 3, { message: 'every worker ran it' });
    expect(runs.sort()).toEqual(['a', 'b', 'c']);
    const own = apps[3]?.queues.get('reload').name as string;
    const connection = await broker.connect();
    expect((await (await connection.channel()).bindings?.())?.map((one) => one.queue)).not.toContain(own);
    await connection.close();
  } finally {
    for (const worker of workers) await worker.stop('cold');
    for (const app of apps) await app.close();
  }
});
