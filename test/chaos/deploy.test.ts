import { describe, expect, test } from 'vitest';
import { chain } from '../../src/index.ts';
import { until } from '../support/until.ts';
import type { Parent, Work } from './fleet-app.ts';
import { full, missingStore, openFleet, type PoolName, type StoreName } from './fleet.ts';

/*
 * Deploying (users 5): a worker is asked to end while tasks run and others wait. `CELERIAC_CHAOS=full` has every store with
 * every pool, and tasks of 20 s.
 */

const ALL: readonly (readonly [StoreName, PoolName])[] = (['sqlite', 'redis', 'rabbitmq'] as const).flatMap((store) =>
  (['async', 'thread', 'process'] as const).map((pool) => [store, pool] as const),
);
const SOME: typeof ALL = [
  ['redis', 'process'],
  ['sqlite', 'thread'],
  ['rabbitmq', 'async'],
];
/** How long tasks run: longer than it takes to ask, and to look. */
const TASK_MS = full ? 20_000 : 6_000;
const WAITING = 200;
const SLOTS = full ? 8 : 4;

describe.each(full ? ALL : SOME)('deploying with %s, pool %s', (store, pool) => {
  test.skipIf(missingStore(store))(
    'what has no time left goes back and runs to its end; what has ends once, sends and can be revoked; what waits is untouched',
    { timeout: 240_000 },
    async () => {
      const settings = { workerPrefetchMultiplier: 4 };
      const fleet = await openFleet(store, { pool, concurrency: SLOTS, settings });
      const { app, ledger } = fleet;
      const taken = (times: number): Promise<boolean> =>
        until(() => fleet.starts().length === times * SLOTS, { message: 'all slots are taken', timeoutMs: 60_000 });

      // (b) a budget that is too short
      const cut = Array.from({ length: SLOTS }, (_, i) => `cut${i}`);
      for (const id of cut) await app.send('work', [id, TASK_MS]);
      const first = await fleet.worker(['drain_timeout=1']);
      await taken(1);
      first.kill('SIGTERM');
      expect(await first.code).toBe(0);
      expect(await fleet.size()).toBe(SLOTS);
      expect(ledger.lost(cut)).toEqual(cut);

      // (a) SIGTERM with time enough, (d) a revocation meanwhile, (f) children and a successor sent meanwhile
      const second = await fleet.worker();
      await until(() => ledger.lost(cut).length === 0, { message: 'they run to their end', timeoutMs: 60_000 });
      const ids = Array.from({ length: SLOTS - 2 }, (_, i) => `whole${i}`);
      const successor = app.remoteTask<Work>('work').si('successor', 1).set({ queue: 'children' });
      await chain(app.remoteTask<Parent>('parent').s('parent', TASK_MS / 2, 100), successor).delay();
      const revoked = await app.send('fetches', ['revoked']);
      for (const id of ids) await app.send('work', [id, TASK_MS]);
      await taken(3);
      await Promise.all(Array.from({ length: WAITING }, (_, i) => app.send('work', [`waits${i}`, 1])));
      second.kill('SIGTERM');
      await until(() => second.text().includes('warm shutdown'), { message: 'it drains' });
      await revoked.revoke({ terminate: true });
      await expect(revoked.get({ timeout: '30s' })).rejects.toMatchObject({ code: 'ERR_TASK_REVOKED' });
      expect(await second.code).toBe(0);
      expect(ledger.lost([...ids, 'parent'])).toEqual([]);
      expect(ledger.duplicates()).toEqual([]);
      expect(fleet.starts()).toHaveLength(3 * SLOTS);
      expect(await fleet.size()).toBe(WAITING);
      expect(await fleet.size('children')).toBe(101);
    },
  );
});
