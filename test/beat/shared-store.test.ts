import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Beat, openSchedule, openStore, type Election, type ScheduleStore } from '../../src/beat/index.ts';
import { Celery, every, LeaseLostError } from '../../src/index.ts';
import { ManualClock } from '../../src/testing/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { startMariadb, startPostgres } from '../support/sql-servers.ts';
import { until } from '../support/until.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const STORES = {
  SQLite: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'celeriac-shared-'));
    return { url: `sqlite:///${folder}/schedule.db`, stop: () => rmSync(folder, { recursive: true, force: true }) };
  },
  PostgreSQL: async () => {
    const server = await startPostgres();
    return { url: server.url, stop: () => server[Symbol.asyncDispose]() };
  },
  MariaDB: async () => {
    const server = await startMariadb();
    return { url: server.url, stop: () => server[Symbol.asyncDispose]() };
  },
  Redis: async () => {
    const server = await startRedis();
    return { url: server.url(), stop: () => server.stop() };
  },
};

const context = { timezone: 'UTC', enableUtc: true };
const election = (store: ScheduleStore): Election => store.election as Election;

const NEEDED = { SQLite: undefined, Redis: 'redis', PostgreSQL: 'postgresql', MariaDB: 'mariadb' } as const;

describe.each(['SQLite', 'Redis', 'PostgreSQL', 'MariaDB'] as const)('a schedule shared in %s', (kind) => {
  const needed = NEEDED[kind];
  const skipped = needed !== undefined && missing(needed) !== undefined;

  let database: { readonly url: string; stop(): unknown };
  beforeAll(async () => {
    if (!skipped) database = await STORES[kind]();
  });
  afterAll(() => database?.stop());

  /** @param beatLease seconds */
  async function open(url: string, beatLease = 60): Promise<ScheduleStore> {
    const app = new Celery({ broker: 'memory://', backend: 'disabled://', env: {}, beatLease });
    const store = await openStore(app, { scheduler: url });
    closers.push(() => store.close?.());
    return store;
  }

  test.skipIf(skipped)('has one leader; who is not writes nothing', async () => {
    const url = `${database.url}?schedule=one`;
    const [one, two] = [await open(url), await open(url)];
    expect(await election(one).campaign()).toBe(true);
    expect(await election(two).campaign()).toBe(false);
    expect(await election(one).campaign()).toBe(true);
    const task = { name: 'a', schedule: every('1s'), call: () => ({}) as never };
    expect(await one.load([task], context)).toEqual([{ task, state: undefined }]);
    const state = { lastRunMs: 1, totalRunCount: 1, pending: 'x', lastId: 'x' };
    await one.save(new Map([['a', state]]));
    await expect(two.save(new Map([['a', { ...state, pending: 'y' }]]))).rejects.toThrow(LeaseLostError);
    await election(two).resign();
    await election(one).resign();
    await expect(one.save(new Map([['a', state]]))).rejects.toThrow(LeaseLostError);
    expect(await election(two).campaign()).toBe(true);
    expect(await election(one).campaign()).toBe(false);
    await expect(one.save(new Map([['a', { ...state, pending: 'z' }]]))).rejects.toThrow(LeaseLostError);
    expect(await two.load([task], context)).toEqual([{ task, state }]);
    await two.load([], context);
    await two.save(new Map());
    expect(await two.load([task], context)).toEqual([{ task, state: undefined }]);
  });

  test.skipIf(skipped)('a lease that is over goes to who asks first, and fences its old holder off', async () => {
    const url = `${database.url}?schedule=over`;
    const [one, two] = [await open(url, 0.2), await open(url, 0.2)];
    await one.load([], context);
    await election(two).resign(); // both are connected
    expect(await election(one).campaign()).toBe(true);
    await until(() => election(two).campaign(), { message: 'the lease is over' });
    await expect(one.save(new Map())).rejects.toThrow(LeaseLostError);
  });

  test.skipIf(skipped)('edits of many at a time, apart from other schedules', async () => {
    const url = `${database.url}?schedule=edits`;
    const app = new Celery({ broker: 'memory://', backend: 'disabled://', env: {} });
    await using first = await openSchedule(app, { scheduler: url });
    await using second = await openSchedule(app, { scheduler: url });
    await using other = await openSchedule(app, { scheduler: url.replace('edits', 'other') });
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 ? first : second).add(`entry-${i}`, { task: 'a', schedule: 1 })),
    );
    await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? first : second).change('entry-0', { args: [i] })));
    await Promise.all([first.pause('entry-0'), second.runNow('entry-0'), first.remove('entry-1')]);
    const entries = await second.list();
    expect(entries).toHaveLength(19);
    expect(entries.find(({ name }) => name === 'entry-0')).toMatchObject({ paused: true });
    expect(await other.list()).toEqual([]);
    await app.close();
  });
});

test('a standby takes over where the leader left off, and a leader that ends gives way at once', async () => {
  const { url, stop: remove } = await STORES.SQLite();
  closers.push(remove);
  const clock = new ManualClock();
  const sent: string[] = [];
  const start = (name: string): { stop(): Promise<void> } => {
    const app = new Celery({ broker: 'memory://', backend: 'disabled://', env: {}, clock, beatScheduler: url });
    app.addPeriodicTask('tick', every('10s'), app.remoteTask<() => void>('math.tick').s());
    app.sender.sendDetached = async () => {
      sent.push(name);
      return undefined as never;
    };
    const stop = new AbortController();
    const ended = new Beat(app).run({ signal: stop.signal });
    return {
      async stop() {
        stop.abort();
        await ended;
        await app.close();
      },
    };
  };
  const pass = (check: () => boolean, message: string): Promise<unknown> =>
    until(async () => (await clock.advance(250), check()), { message });
  const beats = [start('one'), start('two')];
  await pass(() => sent.length >= 3, 'three runs');
  const leader = sent[0] as string;
  expect(new Set(sent)).toEqual(new Set([leader]));
  await beats[leader === 'one' ? 0 : 1]?.stop();
  const before = sent.length;
  await pass(() => sent.length >= before + 3, 'the other sends');
  expect(sent.slice(before)).not.toContain(leader);
  await beats[leader === 'one' ? 1 : 0]?.stop();
});

test('a leader that dies at any moment is followed within one lease', async () => {
  const { url, stop: remove } = await STORES.SQLite();
  closers.push(remove);
  const LEASE_MS = 10_000;
  const clock = new ManualClock();
  const sent: { readonly by: string; readonly atMs: number }[] = [];
  const start = async (name: string) => {
    const app = new Celery({ broker: 'memory://', backend: 'disabled://', env: {}, clock, beatLease: LEASE_MS / 1000 });
    app.addPeriodicTask('tick', every('1s'), app.remoteTask<() => void>('math.tick').s());
    let dead = false;
    app.sender.sendDetached = async () => {
      if (!dead) sent.push({ by: name, atMs: clock.now() });
      return undefined as never;
    };
    const store = await openStore(app, { scheduler: url });
    // Of who is dead no call reaches the database.
    for (const part of [store, store.election as Election]) {
      for (const call of ['campaign', 'save', 'load', 'version', 'resign'] as const) {
        const real = (part as unknown as Record<string, ((...args: unknown[]) => unknown) | undefined>)[call];
        if (real === undefined) continue;
        Object.assign(part, {
          [call]: (...args: unknown[]) => (dead ? new Promise(() => {}) : real.apply(part, args)),
        });
      }
    }
    void new Beat(app, { store }).run();
    return { name, die: () => (dead = true) };
  };
  const step = async (): Promise<void> => {
    await clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  };
  let standby = await start('beat 0');
  await until(async () => (await step(), sent.length > 2), { message: 'the first one sends' });
  for (let death = 1; death <= 8; death++) {
    const leader = standby;
    standby = await start(`beat ${death}`);
    // Each time elsewhere between two renewals.
    for (let i = 0; i < 20 + 7 * death; i++) await step();
    expect(sent.at(-1)?.by).toBe(leader.name);
    leader.die();
    const diedMs = clock.now();
    await until(async () => (await step(), sent.at(-1)?.by === standby.name), { message: 'the next one sends' });
    expect((sent.at(-1)?.atMs ?? Infinity) - diedMs).toBeLessThanOrEqual(LEASE_MS);
  }
});
