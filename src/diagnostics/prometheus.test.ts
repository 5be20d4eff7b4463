import { expect, test } from 'vitest';
import { Celery, Ignore, Reject } from '../index.ts';
import { until } from '../../test/support/until.ts';
import { Worker } from '../worker/index.ts';
import { taskEnded, taskStarted } from './channels.ts';
import { measure } from './prometheus.ts';

test('what a worker did, as Prometheus reads it', async () => {
  await using app = new Celery({ broker: 'memory://', backend: 'memory://' });
  const add = app.task('add', (x: number, y: number) => x + y);
  const odd = app.task('odd', { bind: true, maxRetries: 1 }, (ctx, how: string) => {
    if (how === 'retry' && ctx.retries === 0) throw ctx.retry({ countdown: 0 });
    if (how === 'ignore') throw new Ignore();
    if (how === 'reject') throw new Reject('no');
    if (how === 'fail') throw new Error('no');
  });
  await using worker = new Worker(app, { hostname: 'w@h', concurrency: 3 });
  await using other = new Worker(app, { hostname: 'other@h', queues: ['celery'] });
  void other;
  expect([taskStarted.hasSubscribers, taskEnded.hasSubscribers]).toEqual([false, false]);
  using metrics = await measure(worker);
  await worker.start();
  await (await add.delay(1, 2)).get({ timeout: '5s' });
  for (const how of ['retry', 'ignore', 'reject', 'fail']) await odd.delay(how);
  const page = async (): Promise<string> => (await metrics.page()).text;
  await until(async () => (await page()).includes('state="FAILURE"'), { message: 'the failure is counted' });
  await until(async () => (await page()).includes('{worker="w@h",task="odd",state="SUCCESS"}'));
  const text = await page();
  const line = (start: string): string | undefined => text.split('\n').find((one) => one.startsWith(start));
  for (const [task, state, count] of [
    ['add', 'SUCCESS', 1],
    ['odd', 'RETRY', 1],
    ['odd', 'SUCCESS', 1],
    ['odd', 'IGNORED', 1],
    ['odd', 'REJECTED', 1],
    ['odd', 'FAILURE', 1],
  ] as const) {
    const labels = `{worker="w@h",task="${task}",state="${state}"}`;
    expect(line(`celeriac_tasks_total${labels}`)).toBe(`celeriac_tasks_total${labels} ${count}`);
    expect(line(`celeriac_task_runtime_seconds_count${labels}`)).toMatch(/ 1$/);
  }
  expect(line('celeriac_task_queue_latency_seconds_count{worker="w@h",task="add",queue="celery"}')).toMatch(/ 1$/);
  expect(line('celeriac_worker_consuming')).toBe('celeriac_worker_consuming{worker="w@h"} 1');
  expect(line('celeriac_worker_slots')).toMatch(/ 3$/);
  expect(line('celeriac_worker_connects')).toMatch(/ 1$/);
  metrics.stop();
  metrics.stop();
  expect([taskStarted.hasSubscribers, taskEnded.hasSubscribers]).toEqual([false, false]);
  expect(app.signals.has('beforePublish')).toBe(false);
});

test('a message that was handed out before is counted as redelivered', async () => {
  await using app = new Celery({ broker: 'memory://', backend: 'memory://' });
  const blocked = app.task('blocked', () => new Promise(() => {}));
  const first = new Worker(app, { hostname: 'first@h' });
  await first.start();
  await blocked.delay();
  await until(() => first.active === 1, { message: 'it runs' });
  await first.stop('cold');
  await using second = new Worker(app, { hostname: 'second@h' });
  using metrics = await measure(second);
  await second.start();
  await until(async () =>
    (await metrics.page()).text.includes('redeliveries_total{worker="second@h",task="blocked"} 1'),
  );
  await second.stop('cold');
});
