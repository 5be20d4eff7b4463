import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { missing } from '../support/available.ts';
import { until } from '../support/until.ts';
import { full, missingStore, openFleet, type PoolName, type StoreName } from './fleet.ts';

/*
 * Memory of workers and clients over time (users 8): half of the tasks fail, a tenth is retried, of a tenth the result is
 * awaited, and connections are cut again and again. Three minutes; half an hour for each with `CELERIAC_CHAOS=full`.
 */

const CASES: readonly (readonly [StoreName, PoolName])[] = full
  ? [
      ['redis', 'process'],
      ['redis', 'async'],
      ['sqlite', 'process'],
      ['sqlite', 'thread'],
      ['rabbitmq', 'async'],
    ]
  : [['redis', 'process']];
const MINUTE = 60_000;
const WARM_UP_MS = full ? 10 * MINUTE : 0.7 * MINUTE;
const MEASURED_MS = full ? 20 * MINUTE : 1.8 * MINUTE;
const PER_SECOND = full ? 500 : 200;
const CUT_EVERY_MS = full ? 5 * MINUTE : 0.6 * MINUTE;
/** Of a process, from the first quarter of what is measured to the last. A leak of 2 KB for each task is 40 MB here, in half an hour far more. */
const MOST_GROWTH_MB = 30;

interface Sample {
  readonly atMs: number;
  readonly mb: number;
}

/** Resident memory; undefined once the process has ended. */
function residentMb(pid: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
  } catch {
    return undefined;
  }
}

function withChildren(pid: number): number[] {
  const listed = execFileSync('ps', ['-A', '-o', 'pid=', '-o', 'ppid='], { encoding: 'utf8' });
  const pairs = listed
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  return [pid, ...pairs.flatMap(([child, parent]) => (parent === pid ? [child as number] : []))];
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

function growthMb(samples: readonly Sample[]): number {
  const quarter = Math.max(1, samples.length >> 2);
  const of = (some: readonly Sample[]): number => median(some.map(({ mb }) => mb));
  return of(samples.slice(-quarter)) - of(samples.slice(0, quarter));
}

describe.each(CASES)('a worker on %s with the pool %s', (store, pool) => {
  test.skipIf(missingStore(store))(
    'does not grow while tasks fail, are retried and awaited, and connections are cut',
    { timeout: WARM_UP_MS + MEASURED_MS + 5 * MINUTE },
    async () => {
      const { app, store: place, worker: start, size } = await openFleet(store, { pool, concurrency: 2 });
      const worker = await start([], { CHAOS_LEDGER: '/dev/null' });
      const stop = new AbortController();
      const awaited: Promise<boolean>[] = [];
      let sent = 0;
      /** A tenth of a second's worth at a time. */
      const sending = (async () => {
        while (!stop.signal.aborted) {
          const batch = Array.from({ length: PER_SECOND / 10 }, () => sent++);
          const handles = await Promise.all(
            batch.map((n) =>
              n % 2 === 0
                ? app.send('fails', [`t${n}`])
                : n % 10 === 1
                  ? app.send('again', [`t${n}`])
                  : app.send('work', [`t${n}`, 1]),
            ),
          );
          for (const [i, handle] of handles.entries()) {
            if (i % 10 !== 0) continue;
            const settled = handle.get({ timeout: '120s' }).then(
              () => true,
              (error: unknown) => (error as Error).name !== 'TimeoutError',
            );
            awaited.push(settled);
          }
          await wait(100);
        }
      })();
      const cutting = (async () => {
        while (store === 'redis' && !stop.signal.aborted) {
          await wait(CUT_EVERY_MS, undefined, { signal: stop.signal }).catch(() => {});
          const client = new Redis(place.broker);
          for (const kind of ['normal', 'pubsub']) await client.call('CLIENT', 'KILL', 'TYPE', kind, 'SKIPME', 'yes');
          client.disconnect();
        }
      })();
      await wait(WARM_UP_MS);
      const samples = new Map(withChildren(worker.pid).map((pid) => [pid, [] as Sample[]]));
      const begunMs = performance.now();
      while (performance.now() - begunMs < MEASURED_MS) {
        await wait(1_000);
        for (const [pid, taken] of samples) {
          const mb = residentMb(pid);
          if (mb !== undefined) taken.push({ atMs: performance.now(), mb });
        }
      }
      stop.abort();
      await Promise.all([sending, cutting]);
      expect(worker.alive()).toBe(true);
      expect(await Promise.all(awaited)).not.toContain(false);
      await until(async () => (await size()) === 0, { message: 'everything has run', timeoutMs: 2 * MINUTE });
      const growth = [...samples].map(
        ([pid, taken]) => [pid === worker.pid ? 'worker' : 'child', growthMb(taken)] as const,
      );
      console.log(
        `${store}, ${pool}: ${sent} tasks; ${growth.map(([who, mb]) => `${who} ${mb.toFixed(1)} MB`).join(', ')}`,
      );
      expect(growth.length).toBeGreaterThanOrEqual(pool === 'process' ? 3 : 1);
      for (const [who, mb] of growth) expect([who, mb < MOST_GROWTH_MB]).toEqual([who, true]);
    },
  );
});

const CLIENT = fileURLToPath(new URL('./soak-client.ts', import.meta.url));
const SENT = full ? 1_000_000 : 60_000;

test.skipIf(missing('redis'))(
  `a client that sends ${SENT} calls and reads no result does not grow`,
  { timeout: 20 * MINUTE },
  async () => {
    const { store } = await openFleet('redis', { pool: 'async', concurrency: 1 });
    const child = spawn(process.execPath, ['--import', 'tsx', CLIENT, store.broker, String(SENT)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(child, 'exit');
    const { first, last } = JSON.parse(text) as { first: number; last: number };
    console.log(`a client: ${first.toFixed(0)} MB after a tenth, ${last.toFixed(0)} MB after ${SENT} calls`);
    expect(last - first).toBeLessThan(40);
  },
);
