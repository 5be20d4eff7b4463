import { describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { full, missingStore, openFleet, type PoolName, type StoreName } from './fleet.ts';

/*
 * A task that holds the event loop for longer than the lease of its message (users 12): it runs once, although another worker
 * waits for work. That a worker which is stopped loses its leases is in redis-leases.test.ts and sqlite.test.ts.
 */

const ALL: readonly (readonly [StoreName, PoolName])[] = (['sqlite', 'redis'] as const).flatMap((store) =>
  (['async', 'solo', 'thread', 'process'] as const).map((pool) => [store, pool] as const),
);
const SOME: typeof ALL = [
  ['redis', 'async'],
  ['sqlite', 'solo'],
];

describe.each(full ? ALL : SOME)('a blocked event loop on %s, pool %s', (store, pool) => {
  test.skipIf(missingStore(store))('loses no lease, and its task runs once', { timeout: 240_000 }, async () => {
    // The lease of the embedded broker is 15 s.
    const blockMs = full ? 45_000 : store === 'sqlite' ? 22_000 : 15_000;
    const settings = { brokerTransportOptions: { lease_ttl: 4, sweep_interval: 1 }, workerPrefetchMultiplier: 1 };
    const fleet = await openFleet(store, { pool, concurrency: 1, settings });
    const { app, ledger } = fleet;
    const blocked = await fleet.worker();
    const handle = await app.send<number>('blocks', ['blocks', blockMs]);
    await until(() => fleet.starts().length === 1, { message: 'it runs', timeoutMs: 60_000 });
    // Remote control of a pool that shares the worker's event loop answers when the task has ended.
    const answered = app.control
      .ping({ destination: [blocked.name], timeout: '120s' })
      .then((replies) => [replies.length, ledger.ends().has('blocks')]);
    const rival = await fleet.worker();
    await app.send('work', ['other', 1]);
    await until(() => ledger.ends().has('other'), { message: 'another worker works meanwhile', timeoutMs: 60_000 });
    expect(await handle.get({ timeout: '120s' })).toBe(ledger.lines().find(({ id }) => id === 'blocks')?.pid);
    expect(await answered).toEqual([1, pool === 'async' || pool === 'solo']);
    expect(fleet.starts().filter((id) => id === 'blocks')).toHaveLength(1);
    for (const one of [blocked, rival]) expect(one.text()).not.toMatch(/lease.* was lost|were put back/);
    await app.send('work', ['after', 1]);
    rival.kill('SIGKILL');
    await until(() => ledger.ends().has('after'), { message: 'it works on', timeoutMs: 60_000 });
  });
});
