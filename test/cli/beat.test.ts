import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
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
