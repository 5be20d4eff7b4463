import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { every } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { testIo } from './io.ts';

const FILE = fileURLToPath(new URL('./hello-app.mjs', import.meta.url));

test.each([
  ['beat', []],
  ['worker', ['-B']],
])('celeriac %s sends what is due and ends with its state written down', async (command, flags) => {
  vi.resetModules();
  const { app } = await import('./hello-app.mjs');
  app.addPeriodicTask('often', every('100ms'), app.remoteTask<() => void>('math.tick').s());
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-beat-'));
  const file = join(folder, 'schedule.json');
  const { io, signals, err, out } = testIo();
  const ended = run([command, '-A', FILE, ...flags, '-s', file], io);
  await until(() => err().includes('Scheduler: Sending due task'), { message: 'a task was sent' });
  signals.emit('SIGTERM', 'SIGTERM');
  expect(await ended).toBe(0);
  if (command === 'beat') expect(out()).toContain(`db -> ${file}`);
  const { entries } = JSON.parse(readFileSync(file, 'utf8')) as { entries: Record<string, { totalRunCount: number }> };
  expect(entries['often']?.totalRunCount).toBeGreaterThan(0);
  rmSync(folder, { recursive: true });
});

test('celeriac beat -S refuses what is not there', async () => {
  vi.resetModules();
  const { io, err } = testIo();
  expect(await run(['beat', '-A', FILE, '-S', 'nothing'], io)).toBe(1);
  expect(err()).toContain('no scheduler "nothing"');
});

test('celeriac beat refuses the pidfile of a beat that runs', async () => {
  vi.resetModules();
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-beat-'));
  const pidfile = join(folder, 'beat.pid');
  writeFileSync(pidfile, `${process.ppid}\n`);
  const { io, err } = testIo({ cwd: folder });
  expect(await run(['beat', '-A', FILE, '--pidfile', pidfile], io)).toBe(73);
  expect(err()).toContain(`process ${process.ppid} is running`);
  rmSync(folder, { recursive: true });
});

test('celeriac schedule shows and changes entries', async () => {
  vi.resetModules();
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-schedule-'));
  const file = join(folder, 'schedule.json');
  const schedule = async (...words: string[]): Promise<{ code: number; out: string; err: string }> => {
    vi.resetModules();
    const { io, out, err } = testIo({ cwd: folder });
    const code = await run(['schedule', words[0] as string, '-A', FILE, '-s', file, ...words.slice(1)], io);
    return { code, out: out(), err: err() };
  };
  const added = await schedule(
    'add',
    'report',
    'mail.report',
    '--cron',
    '0 3 * * *',
    '-a',
    '["sales"]',
    '--queue',
    'slow',
  );
  expect(added).toMatchObject({ code: 0, err: 'report: added\n' });
  const read = async (): Promise<Record<string, unknown>> =>
    JSON.parse((await schedule('show', 'report', '-j')).out) as Record<string, unknown>;
  expect(await read()).toMatchObject({
    name: 'report',
    task: 'mail.report',
    schedule: '<crontab: 0 3 * * * (m/h/dM/MY/d)>',
    args: ['sales'],
    options: { queue: 'slow' },
    last_run_at: null,
    total_run_count: 0,
  });
  expect((await schedule('set', 'report', '--every', '30s', '--jitter', '5s')).code).toBe(0);
  expect((await schedule('set', 'report', '--solar', 'sunset,48.85,-2.35')).code).toBe(0);
  expect(await read()).toMatchObject({ schedule: '<solar: sunset at latitude 48.85, longitude: -2.35>' });
  expect((await schedule('set', 'report', '--every', '30s')).code).toBe(0);
  expect((await schedule('pause', 'report')).code).toBe(0);
  expect(await read()).toMatchObject({ schedule: '<freq: 30.00 seconds>', paused: true, next_run_at: null });
  expect((await schedule('list')).out).toMatch(
    /^Name +Task +Schedule +Next run +Runs\n[^]*report +mail.report +<freq: 30.00 seconds> +paused +0\n/,
  );
  expect((await schedule('resume', 'report')).code).toBe(0);
  expect((await schedule('run', 'report')).out).toMatch(/^[0-9a-f-]{36}\n$/);
  expect((await schedule('remove', 'report', '-j')).out).toBe('{"name":"report","removed":true}\n');
  expect(await schedule('show', 'report')).toMatchObject({ code: 1, out: '' });
  for (const wrong of [
    ['add', 'x', 'a'],
    ['add', 'x', 'a', '--every', 'often'],
    ['add', 'x', 'a', '--solar', 'sunset,48.85'],
    ['add', 'x', 'a', '--every', '1s', '--cron', '* * * * *'],
    ['set', 'x'],
    ['add', 'x', 'a', '--every', '1s', '-a', '['],
  ]) {
    expect((await schedule(...wrong)).code).toBe(2);
  }
  rmSync(folder, { recursive: true });
});
