import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { until } from '../support/until.ts';

/*
 * A real `celeriac worker` and real signals: what it says, what becomes of its tasks, what it ends with (W-7 to W-11,
 * W-18, W-19). Nothing here waits for a lease.
 */

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const APP = fileURLToPath(new URL('./signal-app.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'celeriac-signals-'));
const closers: (() => unknown)[] = [];
let count = 0;

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

interface Started {
  readonly app: Celery;
  readonly pid: number;
  readonly code: Promise<number | null>;
  /** What it printed. */
  text(): string;
  kill(signal: NodeJS.Signals): void;
  /** Lines that tasks wrote. */
  lines(): string[];
  /** Lets a task end. */
  release(id: string): void;
  size(queue?: string): Promise<number>;
  alive(): boolean;
}

async function start(
  argv: readonly string[] = [],
  options: { readonly env?: Record<string, string>; readonly broker?: string; readonly ready?: boolean } = {},
): Promise<Started> {
  const file = join(folder, `notes${++count}`);
  const url = options.broker ?? `sqlite:///${join(folder, `broker${count}.db`)}`;
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    CELERY_BROKER_URL: url,
    CELERY_RESULT_BACKEND: url,
    SIGNALS_FILE: file,
    ...options.env,
  };
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, 'worker', '-A', APP, '-c', '1', ...argv], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const code = once(child, 'exit').then(([status]) => status as number | null);
  const app = new Celery({ broker: url, backend: url, env: {} });
  const alive = (): boolean => child.exitCode === null && child.signalCode === null;
  closers.push(
    async () => {
      child.kill('SIGKILL');
      await code;
    },
    () => app.close(),
  );
  if (options.ready !== false) {
    await until(() => text.includes(' ready.') || !alive(), { message: 'the worker is ready', timeoutMs: 60_000 });
    if (!alive()) throw new Error(`the worker ended:\n${text}`);
  }
  return {
    app,
    pid: child.pid as number,
    code,
    text: () => text,
    kill: (signal) => void child.kill(signal),
    lines: () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []),
    release: (id) => writeFileSync(`${file}.${id}`, ''),
    size: async (name = 'celery') => {
      await using connection = await (await app.transport()).connect();
      const channel = await connection.channel();
      return await channel.size(name);
    },
    alive,
  };
}

const runs = ({ lines }: Started, id: string): Promise<boolean> =>
  until(() => lines().some((line) => line.startsWith(`start ${id} `)), { message: `${id} runs`, timeoutMs: 30_000 });
const says = ({ text }: Started, words: string): Promise<boolean> =>
  until(() => text().includes(words), { message: `it says "${words}"`, timeoutMs: 30_000 });
const ended = ({ lines }: Started, id: string): number =>
  lines().filter((line) => line.startsWith(`end ${id} `)).length;

test('W-7: SIGTERM finishes what runs, leaves the rest, and ends with 0; again it changes nothing', async () => {
  const worker = await start();
  for (const id of ['a', 'b', 'c', 'd']) await worker.app.send('hold', [id]);
  await runs(worker, 'a');
  worker.kill('SIGTERM');
  await says(worker, 'warm shutdown');
  await until(async () => (await worker.size()) === 3, { message: 'what had not begun is back before the end' });
  worker.kill('SIGTERM');
  expect(worker.alive()).toBe(true);
  worker.release('a');
  expect(await worker.code).toBe(0);
  expect(worker.lines().map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual(['start a', 'end a']);
  expect(await worker.size()).toBe(3);
});

describe.each(['async', 'process'])('pool %s', (pool) => {
  test('W-9: SIGQUIT ends what runs; late messages are back before the exit, nothing has failed', async () => {
    const worker = await start(['-P', pool]);
    const late = await worker.app.send('listen', ['a']);
    await worker.app.send('hold', ['b']);
    await runs(worker, 'a');
    worker.kill('SIGQUIT');
    expect(await worker.code).toBe(0);
    expect(await worker.size()).toBe(2);
    expect(worker.lines().filter((line) => line.startsWith('signal'))).toEqual(['signal a ShutdownAbort']);
    expect((await late.snapshot()).state).toBe('PENDING');
  });
});

test('W-8: in the soft phase what is quick ends, the rest runs again elsewhere', async () => {
  const worker = await start(['-c', '2', 'worker.soft_shutdown_timeout=3']);
  for (const id of ['quick', 'slow']) await worker.app.send('listen', [id]);
  await runs(worker, 'quick');
  await runs(worker, 'slow');
  worker.kill('SIGQUIT');
  await says(worker, 'terminating in 3 seconds');
  expect(worker.lines().some((line) => line.startsWith('signal'))).toBe(false);
  worker.release('quick');
  await until(() => ended(worker, 'quick') === 1, { message: 'the quick one ends' });
  expect(await worker.code).toBe(0);
  expect(worker.lines()).toContain('signal slow ShutdownAbort');
  expect(worker.lines()).not.toContain('signal quick ShutdownAbort');
  expect(await worker.size()).toBe(1);
});

test('W-8: another signal cuts the soft phase short', async () => {
  const worker = await start(['worker.soft_shutdown_timeout=3000']);
  await worker.app.send('listen', ['a']);
  await runs(worker, 'a');
  worker.kill('SIGQUIT');
  await says(worker, 'terminating in 3000 seconds');
  worker.kill('SIGQUIT');
  expect(await worker.code).toBe(0);
  expect(await worker.size()).toBe(1);
});

test('W-10: each Ctrl-C is one stage: warm, then cold', async () => {
  const worker = await start();
  await worker.app.send('listen', ['a']);
  await runs(worker, 'a');
  worker.kill('SIGINT');
  await says(worker, 'warm shutdown');
  expect(worker.lines().some((line) => line.startsWith('signal'))).toBe(false);
  worker.kill('SIGINT');
  await says(worker, 'cold shutdown');
  expect(await worker.code).toBe(0);
  expect(await worker.size()).toBe(1);
});

test('W-10: one more leaves at once, with 1; with REMAP_SIGTERM=SIGQUIT a supervisor gets there with SIGTERM', async () => {
  const worker = await start([], { env: { REMAP_SIGTERM: 'SIGQUIT' } });
  // It does not listen, and an event loop cannot end it: a cold stop waits a moment for it.
  await worker.app.send('hold', ['a']);
  await runs(worker, 'a');
  worker.kill('SIGTERM');
  await says(worker, 'cold shutdown');
  worker.kill('SIGTERM');
  expect(await worker.code).toBe(1);
  expect(worker.text()).toContain('stopping at once');
  // It had no time to return anything: whoever comes next sees that it is dead.
  const next = await start([], { env: { CELERY_BROKER_URL: worker.app.conf.brokerUrl as string } });
  await runs(next, 'a');
});

test('W-18: SIGHUP begins anew with the same arguments once what runs has ended; the process stays', async () => {
  const pidfile = join(folder, 'restart.pid');
  const worker = await start(['-n', 'again@%h', '--pidfile', pidfile]);
  await worker.app.send('hold', ['before']);
  await runs(worker, 'before');
  await worker.app.send('hold', ['after']);
  const pidOf = (id: string): string | undefined =>
    worker
      .lines()
      .find((line) => line.startsWith(`start ${id} `))
      ?.split(' ')[2];
  for (const [id, next] of [
    ['before', 'after'],
    ['after', 'last'],
  ] as const) {
    const readies = worker.text().split(' ready.').length;
    worker.kill('SIGHUP');
    await until(() => worker.text().split('restarting').length > readies - 1, { message: 'it says that it restarts' });
    worker.release(id);
    await until(() => worker.text().split(' ready.').length > readies, {
      message: 'another is ready',
      timeoutMs: 60_000,
    });
    expect(ended(worker, id)).toBe(1);
    if (next === 'last') await worker.app.send('hold', ['last']);
    await runs(worker, next);
    expect(pidOf(next)).not.toBe(pidOf(id));
    // Who looks after the worker knows this process, and signals it.
    expect(worker.alive()).toBe(true);
    expect(readFileSync(pidfile, 'utf8').trim()).toBe(String(worker.pid));
  }
  expect(pidOf('before')).toBe(String(worker.pid));
  worker.kill('SIGTERM');
  await says(worker, 'warm shutdown');
  worker.release('last');
  expect(await worker.code).toBe(0);
  expect(ended(worker, 'last')).toBe(1);
  expect(existsSync(pidfile)).toBe(false);
});

describe.skipIf(missing('redis'))('on Redis', () => {
  test('W-11: a drain longer than its lease keeps it, answers, and lets its tasks send', async () => {
    const server = await startRedis();
    closers.push(() => server.stop());
    const url = server.url();
    const worker = await start(
      ['-n', 'drains@here', 'broker.transport_options={"lease_ttl":4,"visibility_timeout":5}'],
      {
        broker: url,
      },
    );
    const app = new Celery({
      broker: url,
      backend: url,
      env: {},
      brokerTransportOptions: { lease_ttl: 4, visibility_timeout: 5 },
    });
    closers.push(() => app.close());
    const beats: unknown[] = [];
    void (async () => {
      for await (const { timestamp } of app.events({ types: ['worker-heartbeat'] })) beats.push(timestamp);
    })();
    const handle = await app.send('sends', ['long']);
    await runs(worker, 'long');
    worker.kill('SIGTERM');
    await says(worker, 'warm shutdown');
    // A rival that would take it as soon as it is nobody's.
    const rival = await start(['-n', 'rival@here', 'broker.transport_options={"lease_ttl":4,"visibility_timeout":5}'], {
      broker: url,
    });
    const reader = server.client();
    const scores = new Set<string>();
    const renewed = async (): Promise<boolean> => {
      const [, score] = await reader.zrange('unacked_index', '0', '-1', 'WITHSCORES');
      if (score !== undefined) scores.add(score);
      return scores.size > 5;
    };
    beats.length = 0;
    await until(renewed, { message: 'its lease was renewed again and again', timeoutMs: 30_000 });
    await until(() => beats.length > 1, { message: 'heartbeats go on' });
    const replies = await app.control.ping({ destination: ['drains@here'], timeout: '10s' });
    expect(JSON.stringify(replies)).toContain('drains@here');
    worker.release('long');
    expect(await worker.code).toBe(0);
    expect(await handle.get({ timeout: '10s' })).toBeNull();
    expect(worker.lines().filter((line) => line.startsWith('start long'))).toHaveLength(1);
    expect(rival.lines()).toEqual([]);
    expect(await worker.size('later')).toBe(1);
    expect(await reader.zcard('unacked_index')).toBe(0);
  });

  test('W-19: a broker that is lost for good ends it with 1', async () => {
    const server = await startRedis();
    closers.push(() => server.stop());
    const worker = await start(['broker.connection_max_retries=2'], { broker: server.url() });
    await server.kill();
    expect(await worker.code).toBe(1);
  });

  test('W-19: --without-heartbeat, --without-gossip and --without-mingle leave nothing to be heard', async () => {
    const server = await startRedis();
    closers.push(() => server.stop());
    const heard: string[] = [];
    const reader = server.client();
    await reader.psubscribe('*');
    reader.on('pmessage', (_pattern: string, channel: string) => void heard.push(channel));
    const loud = await start(['-n', 'loud@here'], { broker: server.url() });
    await until(() => heard.some((channel) => channel.includes('celeryev')), { message: 'one that is heard' });
    loud.kill('SIGTERM');
    await loud.code;
    heard.length = 0;
    const quiet = await start(['-n', 'quiet@here', '--without-heartbeat', '--without-gossip', '--without-mingle'], {
      broker: server.url(),
    });
    await quiet.app.send('hold', ['a']);
    await runs(quiet, 'a');
    quiet.release('a');
    await until(() => ended(quiet, 'a') === 1, { message: 'it works' });
    quiet.kill('SIGTERM');
    expect(await quiet.code).toBe(0);
    expect(heard.filter((channel) => /celeryev|pidbox/.test(channel))).toEqual([]);
  });
});
