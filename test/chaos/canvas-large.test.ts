import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import { Celery, chain, group, type Signature } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';

/*
 * Large workflows: what is sent while it is generated does not pile up. `CELERIAC_CHAOS=full` has 100,000 members and
 * 1,000 steps.
 */

const full = process.env['CELERIAC_CHAOS'] === 'full';
const MEMBERS = full ? 100_000 : 5_000;
const GROUP = full ? 10_000 : 2_000;
const STEPS = full ? 1_000 : 300;
const LIMIT_MS = full ? 1_200_000 : 300_000;
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Heap in use, after a collection. */
function heap(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

const reason = missing('redis');

describe.skipIf(reason !== undefined)(`on Redis${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  test(`a chord of ${MEMBERS} members from a generator, with bounded memory`, { timeout: LIMIT_MS }, async () => {
    const server = await startRedis();
    closers.push(() => server.stop());
    const app = new Celery({ broker: server.url(0), backend: server.url(1), env: {} });
    closers.push(() => app.close());
    const half = app.task('half', (n: number) => n / 2);
    const total = app.task('total', (all: number[]) => all.reduce((sum, one) => sum + one, 0));
    const samples: number[] = [];
    const made: WeakRef<readonly unknown[]>[] = [];
    let alive = 0;
    function* members(): Generator<Signature<unknown[], number>> {
      for (let n = 0; n < MEMBERS; n++) {
        if (n > 0 && n % (MEMBERS / 5) === 0) {
          samples.push(heap());
          alive = Math.max(alive, made.filter((one) => one.deref() !== undefined).length);
        }
        const member = half.si(n);
        made.push(new WeakRef(member.args));
        yield member;
      }
    }
    const streamed = await app.streamGroup(members(), { body: total.s() });
    expect(streamed.size).toBe(MEMBERS);
    // A window of 512 is under way at a time; handles that were kept would be 700 bytes for each member.
    expect(alive).toBeLessThan(1_500);
    const grown = Math.max(...samples.slice(1)) - (samples[0] as number);
    expect(grown).toBeLessThan(12 * 2 ** 20);
    expect(Number(await server.client().llen('celery'))).toBe(MEMBERS);
    const worker = new Worker(app, { concurrency: 100 });
    closers.push(() => worker.stop('cold'));
    await worker.start();
    expect(await streamed.body?.get({ timeout: LIMIT_MS })).toBe(((MEMBERS - 1) * MEMBERS) / 4);
  });

  test(`a group of ${GROUP}: values in order, every member counted`, { timeout: LIMIT_MS }, async () => {
    const server = await startRedis();
    closers.push(() => server.stop());
    const app = new Celery({ broker: server.url(0), backend: server.url(1), env: {} });
    closers.push(() => app.close());
    const half = app.task('half', (n: number) => n / 2);
    const worker = new Worker(app, { concurrency: 100 });
    closers.push(() => worker.stop('cold'));
    await worker.start();
    const numbers = Array.from({ length: GROUP }, (_, n) => n);
    const result = await group(numbers.map((n) => half.s(n))).delay();
    let last: { readonly successful: number; readonly total: number } | undefined;
    for await (const progress of result.progress()) last = progress;
    expect(last).toMatchObject({ successful: GROUP, total: GROUP });
    expect(await result.get({ timeout: LIMIT_MS })).toEqual(numbers.map((n) => n / 2));
    expect(await result.completedCount()).toBe(GROUP);
  });
});

test(`a chain of ${STEPS} steps`, { timeout: LIMIT_MS }, async () => {
  const app = new Celery({ broker: 'memory://', backend: 'memory://' });
  closers.push(() => app.close());
  const add = app.task('add', (x: number, y: number) => x + y);
  const worker = new Worker(app, { concurrency: 2 });
  closers.push(() => worker.stop('cold'));
  await worker.start();
  const result = await chain(Array.from({ length: STEPS }, () => add.s(1))).delay(0);
  expect(await result.get({ timeout: LIMIT_MS })).toBe(STEPS);
  expect(result.parents()).toHaveLength(STEPS - 1);
  expect(await result.parents().at(-1)?.get({ timeout: '10s' })).toBe(1);
});
