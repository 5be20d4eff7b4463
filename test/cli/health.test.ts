import { mkdtempSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test, vi } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { until } from '../support/until.ts';
import { testIo } from './io.ts';

const FILE = fileURLToPath(new URL('./hello-app.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'celeriac-health-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ask = (socketPath: string, path: string): Promise<{ status: number | undefined; text: string }> =>
  new Promise((resolve, reject) => {
    get({ socketPath, path }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode, text }));
    }).on('error', reject);
  });

test('--health answers while the worker runs, and is gone afterwards', async () => {
  vi.resetModules();
  const { app } = await import('./hello-app.mjs');
  const { io, signals, err } = testIo();
  const socket = join(folder, 'health.sock');
  const ended = run(['worker', '-A', FILE, '-n', 'w1@here', '--health', socket], io);
  await until(
    () =>
      ask(socket, '/ready').then(
        ({ status }) => status === 200,
        () => false,
      ),
    { message: 'ready' },
  );
  await (await app.send<number>('math.add', [2, 3])).get({ timeout: '5s' });
  await until(async () =>
    (await ask(socket, '/metrics')).text.includes(
      'celeriac_tasks_total{worker="w1@here",task="math.add",state="SUCCESS"} 1',
    ),
  );
  signals.emit('SIGTERM', 'SIGTERM');
  expect(await ended).toBe(0);
  expect(err()).toContain('health server listens');
  await expect(ask(socket, '/live')).rejects.toThrow();
});

test('a place that cannot be is refused before the worker starts', async () => {
  vi.resetModules();
  const { io, err } = testIo();
  expect(await run(['worker', '-A', FILE, '--health', 'nowhere'], io)).not.toBe(0);
  expect(err()).toContain('expected a port, host:port, or the path of a Unix socket');
});
