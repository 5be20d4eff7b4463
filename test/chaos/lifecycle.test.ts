import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { Ledger } from '../support/ledger.ts';
import { until } from '../support/until.ts';

/*
 * Workers that are killed, frozen and started again. Leases are far longer than the tests: whatever comes back here does
 * not come back because a lease ran out.
 */

const LEASE_SECONDS = 3_600;
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function worker(broker: string, ledger: Ledger, name: string): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('../support/interop-worker.ts', import.meta.url));
  const options = {
    ...{ broker, backend: broker, ledger: ledger.path, name, concurrency: 2, prefetchMultiplier: 4 },
    transportOptions: { lease_ttl: LEASE_SECONDS },
  };
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  closers.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await until(() => output.includes('ready'), { message: 'the worker is ready', timeoutMs: 60_000 });
  return child;
}

const started = (ledger: Ledger, pid: number | undefined): string[] =>
  ledger.lines().flatMap((line) => (line.what === 'start' && line.pid === pid ? [line.id] : []));

describe.skipIf(missing('redis'))('workers come and go on Redis', () => {
  async function open(): Promise<{ redis: RedisServer; url: string; ledger: Ledger; app: Celery }> {
    const redis = await startRedis();
    const ledger = new Ledger();
    const url = redis.url(0);
    const app = new Celery({ broker: url, backend: url, env: {} });
    closers.push(
      () => redis.stop(),
      () => ledger.dispose(),
      () => app.close(),
    );
    return { redis, url, ledger, app };
  }

  test('a worker that was killed and started again has its messages back at once (users 15)', async () => {
    const { url, ledger, app } = await open();
    const first = await worker(url, ledger, 'same@host');
    const ids = Array.from({ length: 8 }, (_, i) => `t${i}`);
    for (const id of ids) await app.send('shared.record', [id, 600_000]);
    await until(() => started(ledger, first.pid).length === 2, { message: 'two run, six were fetched' });
    const gone = once(first, 'exit');
    first.kill('SIGKILL');
    await gone;
    const second = await worker(url, ledger, 'same@host');
    await until(() => started(ledger, second.pid).length === 2, {
      message: 'the new one runs them',
      timeoutMs: 30_000,
    });
    expect(ids).toEqual(expect.arrayContaining(started(ledger, second.pid)));
  });

  test('one that is only frozen keeps its messages', async () => {
    const { redis, url, ledger, app } = await open();
    const first = await worker(url, ledger, 'same@host');
    await app.send('shared.record', ['held', 600_000]);
    await until(() => started(ledger, first.pid).length === 1, { message: 'it runs' });
    first.kill('SIGSTOP');
    const second = await worker(url, ledger, 'same@host');
    await app.send('shared.record', ['other', 1]);
    await until(() => ledger.ends().has('other'), { message: 'the second works' });
    expect(started(ledger, second.pid)).toEqual(['other']);
    const reader = redis.client(0);
    await until(async () => (await reader.hlen('unacked')) === 1, { message: 'only the frozen one holds a message' });
  });

  test('a drain keeps what runs, for as long as it takes: the other worker never gets it', async () => {
    const { url, ledger, app } = await open();
    const first = await worker(url, ledger, 'one@host');
    for (const id of ['long', 'longer']) await app.send('shared.record', [id, 3_000]);
    await until(() => started(ledger, first.pid).length === 2, { message: 'both run' });
    for (let i = 0; i < 4; i++) await app.send('shared.record', [`waits${i}`, 1]);
    const gone = once(first, 'exit');
    first.kill('SIGTERM');
    const second = await worker(url, ledger, 'two@host');
    expect((await gone)[0]).toBe(0);
    const ids = ['long', 'longer', 'waits0', 'waits1', 'waits2', 'waits3'];
    await until(() => ledger.lost(ids).length === 0, { message: 'all ran' });
    expect(ledger.duplicates()).toEqual([]);
    expect(new Set(started(ledger, first.pid))).toEqual(new Set(['long', 'longer']));
    expect(started(ledger, second.pid)).toHaveLength(4);
  });
});
