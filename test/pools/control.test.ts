import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import type { NodeReply } from '../../src/app/broadcast.ts';
import { get, start } from './support.ts';

/* The size of a pool while it works, and the end of its children. */

const reply = async (answers: Promise<readonly NodeReply[]>): Promise<unknown> => (await answers)[0]?.value;
const ask = { reply: true } as const;

test('pool_grow and pool_shrink add and remove children', async () => {
  const { app, worker } = await start({ pool: 'process', concurrency: 1 });
  expect(await reply(app.control.poolGrow(2, ask))).toEqual({ ok: 'pool will grow' });
  await until(() => worker.processes.length === 3, { message: 'three children' });
  expect(await reply(app.control.poolShrink(2, ask))).toEqual({ ok: 'pool will shrink' });
  await until(() => worker.processes.length === 1, { message: 'one child' });
  expect(await get(app, 'add', [1, 1])).toBe(2);
  expect(await reply(app.control.autoscale(4, 1, ask))).toEqual({ error: "ValueError('Autoscale not enabled')" });
  expect(await reply(app.control.poolRestart(ask))).toEqual({ error: "ValueError('Pool restarts not enabled')" });
});

test('autoscale grows under load, follows its command and refuses the others', async () => {
  const { app, worker } = await start({ pool: 'process', autoscale: { min: 1, max: 3, keepalive: '1s' } });
  expect(worker.processes).toHaveLength(1);
  const sleepers = await Promise.all(Array.from({ length: 6 }, () => app.send('sleeps', [1_500])));
  await until(() => worker.processes.length === 3, { message: 'three children' });
  const stats = await app.control.inspect().stats();
  expect(stats['w@pools']).toMatchObject({ autoscaler: { max: 3, min: 1, current: 3 } });
  await Promise.all(sleepers.map((one) => one.get({ timeout: '30s' })));
  await until(() => worker.processes.length === 1, { message: 'one child again' });
  expect(await reply(app.control.autoscale(4, 2, ask))).toEqual({ ok: 'autoscale now max=4 min=2' });
  await until(() => worker.processes.length === 2, { message: 'two children' });
  expect(await reply(app.control.poolGrow(1, ask))).toEqual({
    error: 'pool_grow is not supported with autoscale. Adjust autoscale range instead.',
  });
});

test('pool_restart runs new code, and drops nothing', { timeout: 180_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-reload-'));
  const file = join(folder, 'app.ts');
  const source = pathToFileURL(fileURLToPath(new URL('./app.ts', import.meta.url))).href;
  const write = (version: number): void =>
    writeFileSync(
      file,
      `import { poolApp } from '${source}';\nexport const app = poolApp();\napp.task('version', () => ${version});\n`,
    );
  write(1);
  try {
    const { app } = await start({ pool: 'process', appModule: file }, { workerPoolRestarts: true });
    app.task('version', () => 0);
    expect(await get(app, 'version', [])).toBe(1);
    write(2);
    const sent = await Promise.all(Array.from({ length: 40 }, (_, i) => app.send<number>('echo', [i])));
    expect(await reply(app.control.poolRestart(ask))).toEqual({ ok: 'reload started' });
    expect(await Promise.all(sent.map((one) => one.get({ timeout: '30s' })))).toEqual(sent.map((_, i) => i));
    await until(async () => (await get(app, 'version', [])) === 2, { message: 'the new code', timeoutMs: 120_000 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('time_limit changes the limit of a task while it runs elsewhere', async () => {
  const { app } = await start({ pool: 'process' });
  expect(await reply(app.control.timeLimit('spin', { hard: '1s' }, ask))).toEqual({
    ok: 'time limits set successfully',
  });
  await expect(get(app, 'spin', [600_000])).rejects.toMatchObject({ code: 'ERR_TIME_LIMIT', args: [1] });
});

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test('children end when their worker is killed, busy or idle', { timeout: 180_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-orphan-'));
  const url = `sqlite:///${join(folder, 'broker.db')}`;
  const script = fileURLToPath(new URL('./orphans.ts', import.meta.url));
  const worker = spawn(process.execPath, ['--import', 'tsx', script], {
    env: { ...process.env, CELERY_BROKER_URL: url, CELERY_RESULT_BACKEND: url },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let output = '';
    worker.stdout.on('data', (chunk) => (output += String(chunk)));
    const pids = await until(() => /children (\d+) (\d+)\n/.exec(output)?.slice(1).map(Number), {
      message: 'two children, one of them in an endless loop',
      timeoutMs: 120_000,
    });
    expect(pids.every(alive)).toBe(true);
    worker.kill('SIGKILL');
    await until(() => !pids.some(alive), { message: 'the children ended', timeoutMs: 40_000 });
  } finally {
    worker.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});

test('tasks that compute run beside each other, and the worker answers meanwhile', async () => {
  const { app, worker } = await start({ pool: 'process' });
  const spinning = await Promise.all([app.send('spin', [3_000]), app.send('spin', [3_000])]);
  await until(() => worker.active === 2, { message: 'both run' });
  expect((await app.control.ping({ limit: 1 }))[0]?.value).toEqual({ ok: 'pong' });
  expect(worker.active).toBe(2);
  const [one, two] = await Promise.all(spinning.map((task) => task.get({ timeout: '30s' })));
  expect(one).not.toBe(two);
});

test('a SIGTERM to the whole group lets the tasks finish', async () => {
  const { app, worker } = await start({ pool: 'process' });
  const sleeping = await app.send('sleeps', [1_000]);
  await until(() => worker.active === 1, { message: 'it runs' });
  for (const pid of worker.processes) process.kill(pid, 'SIGTERM');
  expect(await sleeping.get({ timeout: '30s' })).toBe('slept');
});
