import { execFileSync } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/runtime/random.ts';
import { until } from '../support/until.ts';
import { full, missingStore, openFleet, type StoreName } from './fleet.ts';

/*
 * Children that come and go (users 13): each is replaced after a few tasks while messages of all sizes are handed to them, and
 * they are killed, or stopped for a while, at random. `CELERIAC_CHAOS=full` replaces them after every task.
 */

const STORES: readonly StoreName[] = full ? ['sqlite', 'redis', 'rabbitmq'] : ['redis'];
const TASKS = full ? 3_000 : 150;
const PER_CHILD = full ? 1 : 10;
const LARGEST = full ? 16_000_000 : 4_000_000;

/** Child processes of a process. */
function childrenOf(pid: number): number[] {
  try {
    const text = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
    return text.trim().split(/\s+/).map(Number).filter(Boolean);
  } catch {
    return [];
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

describe.each(STORES)('children that come and go on %s', (store) => {
  test.skipIf(missingStore(store))(
    'whatever happens to them, every message is run and no slot is lost',
    { timeout: full ? 3_600_000 : 240_000 },
    async () => {
      const settings = { workerPrefetchMultiplier: 4, maxDeliveries: null };
      const fleet = await openFleet(store, { pool: 'process', concurrency: 3, settings });
      const { app, ledger } = fleet;
      const random = seededRandom(13);
      const sizeOf = (i: number): number => (i % 25 === 7 ? LARGEST : Math.floor(10 ** (random.next() * 5)));
      const ids = Array.from({ length: TASKS }, (_, i) => `t${i}`);
      const worker = await fleet.worker(['--max-tasks-per-child', String(PER_CHILD)]);
      const before = new Set(childrenOf(worker.pid));
      const sending = (async () => {
        for (const [i, id] of ids.entries()) await app.send('work', [id, 20, 'x'.repeat(sizeOf(i))]);
      })();
      let killed = 0;
      let stopped = 0;
      while (ledger.lost(ids).length > 0 && worker.alive()) {
        await wait(full ? 500 : 1_000);
        const children = childrenOf(worker.pid);
        const victim = children[Math.floor(random.next() * children.length)];
        if (victim === undefined) continue;
        if (random.next() < 0.4) {
          signal(victim, 'SIGKILL');
          killed++;
        } else {
          signal(victim, 'SIGSTOP');
          stopped++;
          await wait(500);
          signal(victim, 'SIGCONT');
        }
      }
      await sending;
      expect(worker.alive()).toBe(true);
      expect(ledger.lost(ids)).toEqual([]);
      // One task runs in a child: no kill can repeat more.
      expect(ledger.duplicates().length).toBeLessThanOrEqual(killed);
      expect(killed + stopped).toBeGreaterThan(1);
      const children = childrenOf(worker.pid);
      expect(children.some((pid) => !before.has(pid))).toBe(true);

      // Every slot serves again.
      await until(() => childrenOf(worker.pid).length >= 3, { message: 'the pool is whole', timeoutMs: 60_000 });
      const at = ledger.lines().length;
      for (const id of ['x', 'y', 'z']) await app.send('work', [id, 3_000]);
      await until(
        () => {
          const lines = ledger.lines().slice(at);
          return lines.length === 3 && lines.every(({ what }) => what === 'start');
        },
        { message: 'three run at a time', timeoutMs: 60_000 },
      );
      console.log(`${store}: ${TASKS} tasks, ${killed} children killed, ${stopped} stopped, none lost`);
    },
  );
});
