import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { Celery, chord } from '../../src/index.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { Database } from '../../src/sqlite/database.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { until } from '../support/until.ts';

/*
 * The store that counts chords is away while their members end: frozen, killed, or locked by somebody else.
 * `CELERIAC_CHAOS=full` keeps it away for ten seconds.
 */

const AWAY_MS = process.env['CELERIAC_CHAOS'] === 'full' ? 10_000 : 2_000;
const reason = missing('redis');
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Bench {
  /** Resolves when all members of a chord are running; they end when `release` is called. */
  begin(): Promise<{ release(): void; result(): Promise<unknown> }>;
  readonly bodies: () => number;
}

async function bench(broker: string, backend: string): Promise<Bench> {
  const app = new Celery({ broker, backend, env: {} });
  closers.push(() => app.close());
  let running = 0;
  let bodies = 0;
  let release = (): void => undefined;
  let released = new Promise<void>(() => {});
  const member = app.task('member', async (n: number) => {
    running++;
    await released;
    return n;
  });
  const body = app.task('body', (values: number[]) => {
    bodies++;
    return values;
  });
  const worker = new Worker(app, { concurrency: 8 });
  closers.push(() => worker.stop('cold'));
  await worker.start();
  return {
    bodies: () => bodies,
    begin: async () => {
      running = 0;
      released = new Promise((resolve) => (release = resolve));
      const sent = await chord(
        Array.from({ length: 8 }, (_, n) => member.s(n)),
        body.s(),
      ).delay();
      await until(() => running === 8, { message: 'all members run' });
      return { release, result: () => sent.get({ timeout: '60s' }) };
    },
  };
}

const VALUES = [0, 1, 2, 3, 4, 5, 6, 7];

describe.skipIf(reason !== undefined)(
  `the store is a Redis${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    test('that is frozen while members end, then killed and started again', { timeout: 180_000 }, async () => {
      const [broker, store] = [
        await startRedis(),
        await startRedis(['--appendonly', 'yes', '--appendfsync', 'always']),
      ];
      closers.push(
        () => broker.stop(),
        () => store.stop(),
      );
      const { begin, bodies } = await bench(broker.url(), store.url());
      const frozen = await begin();
      store.process.kill('SIGSTOP');
      frozen.release();
      await wait(AWAY_MS);
      expect(bodies()).toBe(0);
      store.process.kill('SIGCONT');
      expect(await frozen.result()).toEqual(VALUES);
      expect(bodies()).toBe(1);
      const killed = await begin();
      await store.kill('SIGKILL');
      killed.release();
      const waiting = killed.result();
      await wait(AWAY_MS);
      expect(bodies()).toBe(1);
      await store.restart();
      expect(await waiting).toEqual(VALUES);
      expect(bodies()).toBe(2);
    });
  },
);

test('the store is a SQLite file that somebody else has locked', { timeout: 180_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-outage-'));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'results.db');
  const { begin, bodies } = await bench(`sqlite:///${join(folder, 'broker.db')}`, `sqlite:///${file}`);
  const locked = await begin();
  const other = await Database.open(file, '', systemClock, 'NORMAL');
  closers.push(() => other.close());
  other.prepare('BEGIN EXCLUSIVE').run();
  locked.release();
  await wait(AWAY_MS);
  expect(bodies()).toBe(0);
  other.prepare('COMMIT').run();
  expect(await locked.result()).toEqual(VALUES);
  expect(bodies()).toBe(1);
});
