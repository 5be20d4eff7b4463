import { describe, expect, test } from 'vitest';
import type { CeleryError } from '../../src/index.ts';
import { chord } from '../../src/index.ts';
import { until } from '../support/until.ts';
import type { Note, Work } from './fleet-app.ts';
import { full, missingStore, openFleet, type FleetWorker, type PoolName, type StoreName } from './fleet.ts';

/*
 * Tasks that kill what runs them (users 11): one aborts, one uses up its memory, amid good ones. A dead worker is started
 * again, as a supervisor would. `CELERIAC_CHAOS=full` has every store with every pool.
 */

const ALL: readonly (readonly [StoreName, PoolName])[] = (['sqlite', 'redis', 'rabbitmq'] as const).flatMap((store) =>
  (['async', 'solo', 'thread', 'process'] as const).map((pool) => [store, pool] as const),
);
/** On a slow machine an innocent task was put away with the guilty one in two of four runs on Redis with the async pool. */
const SOME: typeof ALL = [['sqlite', 'process']];
const GOOD = full ? 500 : 200;

describe.each(full ? ALL : SOME)('poison with %s, pool %s', (store, pool) => {
  test.skipIf(missingStore(store))(
    'is run three times, then put away with a result; errbacks and its chord are told, the good ones all end',
    { timeout: 300_000 },
    async () => {
      const quorum = store === 'rabbitmq' ? { taskDefaultQueueType: 'quorum' as const } : {};
      const fleet = await openFleet(store, {
        pool,
        concurrency: 2,
        settings: { workerPrefetchMultiplier: 4, ...quorum },
      });
      const { app, ledger } = fleet;
      const env = { NODE_OPTIONS: '--max-old-space-size=120' };
      let worker: FleetWorker | undefined;
      let over = false;
      let deaths = 0;
      const supervisor = (async () => {
        while (!over) {
          try {
            worker = await fleet.worker([], env);
            await worker.code;
          } catch {
            // Dead before it said that it is ready.
          }
          if (!over) deaths++;
        }
      })();
      try {
        const good = Array.from({ length: GOOD }, (_, i) => `good${i}`);
        const sent = (from: number, to: number): Promise<unknown> =>
          Promise.all(good.slice(from, to).map((id) => app.send('work', [id, 10])));
        await sent(0, GOOD / 4);
        const noteError = app.remoteTask<Note>('noteError');
        const aborts = await app.send('aborts', ['aborts'], { linkError: noteError.si('aborts') });
        // So far apart that neither is fetched together with the other: what was only fetched counts as a run.
        await sent(GOOD / 4, GOOD / 2);
        const hogs = await chord(
          [app.remoteTask<Note>('hogs').s('hogs'), app.remoteTask<Work>('work').s('member', 1)],
          app.remoteTask<Work>('work').si('body', 1),
        ).delay();
        await sent(GOOD / 2, GOOD);

        const codeOf = (promise: Promise<unknown>): Promise<string | undefined> =>
          promise.then(
            () => undefined,
            (error: unknown) => (error as CeleryError).code,
          );
        expect(await codeOf(aborts.get({ timeout: '150s' }))).toBe('ERR_WORKER_LOST');
        expect(await codeOf(hogs.get({ timeout: '150s' }))).toBe('ERR_CHORD');
        await until(() => ledger.lost([...good, 'member', 'error:aborts']).length === 0, {
          message: 'the good ones all end',
          timeoutMs: 60_000,
        });
        for (const id of ['aborts', 'hogs']) expect(fleet.starts().filter((one) => one === id)).toHaveLength(3);
        const { letters } = await app.deadLetters.list();
        expect(letters.map(({ task }) => task).sort()).toEqual(['aborts', 'hogs']);
        expect(ledger.ends().has('body')).toBe(false);
        if (pool === 'process') expect(deaths).toBe(0);
      } finally {
        over = true;
        worker?.kill('SIGKILL');
        await supervisor;
      }
    },
  );
});
