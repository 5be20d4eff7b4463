import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Celery, type CeleryOptions } from '../index.ts';
import { eventually } from '../testing/eventually.ts';
import { Worker } from './worker.ts';

/* A task that succeeded, whose acknowledgement was lost: its message comes again. */

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface Case {
  readonly settings?: CeleryOptions;
  readonly stored?: boolean;
  readonly redelivered?: boolean;
  /** Results of what followed are known. */
  readonly sent?: boolean;
}

/** @returns how often the task ran, and with what the linked one was called */
async function again({ settings, stored = true, redelivered = true, sent = false }: Case) {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-again-'));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  const url = `sqlite:///${join(folder, 'broker.db')}`;
  const app = new Celery({ broker: url, backend: url, env: {}, workerDeduplicateSuccessfulTasks: true, ...settings });
  closers.push(() => app.close());
  let runs = 0;
  let over = false;
  const linked: unknown[] = [];
  const work = app.task('work', () => {
    runs++;
    return 'fresh';
  });
  const next = app.task('next', (value: string) => void linked.push(value));
  app.task('last', () => void (over = true));
  const { id } = await work.s().link(next.s()).applyAsync([]);
  if (stored) {
    await (
      await app.backend()
    ).store({
      taskId: id,
      status: 'SUCCESS',
      result: 'stored',
      traceback: null,
      children: sent ? [[['child', null], null]] : [],
      dateDone: new Date(0).toISOString(),
    });
  }
  if (redelivered) {
    const connection = await (await app.transport()).connect();
    await (await (await connection.channel()).get('celery'))?.reject({ requeue: true });
    await connection.close();
  }
  const worker = new Worker(app, { concurrency: 1 });
  closers.push(() => worker.stop('cold'));
  await worker.start();
  await eventually(() => runs > 0 || linked.length > 0 || sent, 'the first message is dealt with');
  await app.send('last');
  await eventually(() => over, 'the worker goes on');
  if (runs > 0) await eventually(() => linked.length > 0, 'what follows ran');
  const connection = await (await app.transport()).connect();
  closers.push(() => connection.close());
  expect(await (await connection.channel()).size('celery')).toBe(0);
  return { runs, linked };
}

test('it does not run; what was not sent any more is sent', async () => {
  expect(await again({})).toEqual({ runs: 0, linked: ['stored'] });
});

test('what was sent is not sent twice', async () => {
  expect(await again({ sent: true })).toEqual({ runs: 0, linked: [] });
});

test.each<readonly [string, Case]>([
  ['without the setting', { settings: { workerDeduplicateSuccessfulTasks: false } }],
  ['with early acknowledgement', { settings: { taskAcksLate: false } }],
  ['that did not come again', { redelivered: false }],
  ['whose success nobody knows', { stored: false }],
])('a message %s runs', async (_, one) => {
  expect(await again(one)).toEqual({ runs: 1, linked: ['fresh'] });
});
