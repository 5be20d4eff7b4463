import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { testIo } from './io.ts';

const FILE = fileURLToPath(new URL('./hello-app.mjs', import.meta.url));

/** A worker of an app of its own, with a world to send signals from. */
async function started(argv: readonly string[] = [], env: Record<string, string> = {}) {
  vi.resetModules();
  const { app } = await import('./hello-app.mjs');
  const world = testIo({ env });
  const ready = new Promise<void>((resolve) => void app.on('workerReady', () => resolve()));
  const ended = run(['worker', '-A', FILE, ...argv], world.io);
  await ready;
  return { app, ended, ...world };
}

test('banner, log and task; SIGTERM ends it with 0', async () => {
  const { app, ended, signals, out, err } = await started(['-n', 'w1@here', '-c', '3']);
  const handle = await app.send<number>('math.add', [2, 3]);
  expect(await handle.get({ timeout: '5s' })).toBe(5);
  signals.emit('SIGTERM', 'SIGTERM');
  expect(await ended).toBe(0);
  for (const part of ['w1@here', 'memory://', 'async, 3 at a time', 'safe', 'queues:   celery', '. math.add']) {
    expect(out()).toContain(part);
  }
  expect(err()).toContain(`INFO/MainProcess] w1@here ready.`);
  expect(err()).toContain(`Task math.add[${handle.id}] received`);
  expect(err()).toMatch(/Task math\.add\[\S+\] succeeded in [\d.e-]+s: 5\n/);
  expect(signals.eventNames()).toEqual([]);
});

test('Ctrl-C once ends with 1, a SIGQUIT with 0', async () => {
  const interrupted = await started(['-q']);
  interrupted.signals.emit('SIGINT', 'SIGINT');
  expect(await interrupted.ended).toBe(1);
  const quit = await started(['-q']);
  quit.signals.emit('SIGQUIT', 'SIGQUIT');
  expect(await quit.ended).toBe(0);
  expect(quit.out()).toBe('');
});

test('--json: nothing but lines of JSON', async () => {
  const { ended, signals, out, err } = await started(['--json']);
  signals.emit('SIGTERM', 'SIGTERM');
  expect(await ended).toBe(0);
  expect(out()).toBe('');
  const lines = err().trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toContain('ready');
});

test('settings of the command line, and refusals', async () => {
  const { app, ended, signals } = await started(['-q', 'worker.prefetch_multiplier=7']);
  expect(app.conf.workerPrefetchMultiplier).toBe(7);
  signals.emit('SIGTERM', 'SIGTERM');
  await ended;
  for (const [argv, message] of [
    [['worker.prefetch_multiplyer=7'], 'prefetch'],
    [['-P', 'forks'], 'no pool is named "forks"'],
    [['-l', 'LOUD'], 'expected one of DEBUG'],
    [['-I', './nothing/*.mjs'], 'nothing does not exist'],
    [['-I', './test/cli/nothing-*.mjs'], 'no file matches'],
  ] as const) {
    vi.resetModules();
    const { io, err } = testIo();
    expect(await run(['worker', '-A', FILE, ...argv], io)).not.toBe(0);
    expect(err()).toContain(message);
  }
});

test('SIGUSR1 says what the worker does, SIGUSR2 lets a debugger in where that is allowed', async () => {
  const { url, close } = await import('node:inspector');
  const { ended, signals, err } = await started(['-q', '-n', 'w1@here'], { CELERY_RDBSIG: '1' });
  signals.emit('SIGUSR1', 'SIGUSR1');
  await vi.waitUntil(() => err().includes('== memory: '), { timeout: 20_000 });
  expect(err()).toContain('what this worker does\n== w1@here, process ');
  signals.emit('SIGUSR2', 'SIGUSR2');
  await vi.waitUntil(() => err().includes('debugger listens on 127.0.0.1:'), { timeout: 20_000 });
  expect(url()).toMatch(/^ws:/);
  close();
  signals.emit('SIGTERM', 'SIGTERM');
  expect(await ended).toBe(0);
  const without = await started(['-q']);
  expect(without.signals.listenerCount('SIGUSR2')).toBe(0);
  without.signals.emit('SIGTERM', 'SIGTERM');
  await without.ended;
});

test('C_BENCH writes how fast tasks are run', async () => {
  const { app, ended, signals, err } = await started([], { C_BENCH: '1', C_BENCH_EVERY: '2' });
  for (const n of [1, 2, 3]) await (await app.send('math.add', [n, n])).get({ timeout: '5s' });
  signals.emit('SIGTERM', 'SIGTERM');
  await ended;
  expect(err()).toMatch(/\* 2 tasks in [\d.]+ s \(\d+\/s\), 2 so far\n/);
  expect(err()).toMatch(/\* 3 tasks in [\d.]+ s \(\d+\/s\); memory [\d.]+ MB → [\d.]+ MB\n/);
});
