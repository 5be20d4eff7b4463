import { fileURLToPath } from 'node:url';
import { beforeEach, expect, test, vi } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { until } from '../support/until.ts';
import { cli, testIo } from './io.ts';

const FILE = fileURLToPath(new URL('./steps-app.mjs', import.meta.url));

// Each command line has an app of its own, and closes it.
beforeEach(() => void vi.resetModules());

test('graph bootsteps: the order, what requires what, and whose step it is', async () => {
  const { out, code } = await cli(['-A', FILE, 'graph', 'bootsteps']);
  expect(code).toBe(0);
  expect(out).toMatch(/^digraph "Bootsteps" \{\n/);
  const steps = [
    '1. cache',
    '2. pool',
    '3. consumer',
    '4. orders',
    '1. connection',
    '2. control',
    '3. tasks',
    '4. greeting',
  ];
  for (const step of steps) expect(out).toContain(`label="${step}"`);
  // consumer → pool, orders → consumer, consumer → connection, control → connection, tasks → control, greeting → tasks
  expect(out.match(/ -> /g)).toHaveLength(6);
  expect((await cli(['-A', FILE, 'graph', 'bootsteps', 'worker', '--mermaid'])).out).toContain('n1["1. cache"]');
  const { worker } = JSON.parse((await cli(['-A', FILE, 'graph', 'bootsteps', '--json'])).out) as {
    worker: readonly unknown[];
  };
  expect(worker[3]).toEqual({ name: 'orders', requires: ['consumer'], own: false });
  expect((await cli(['-b', 'memory://', 'graph', 'bootsteps', 'wrker'])).code).toBe(2);
});

test("an option of the app's own reaches its steps", async () => {
  const world = testIo();
  const ended = run(['worker', '-A', FILE, '--cache-size', '77', '-n', 'w@h'], world.io);
  await until(() => world.err().includes('ready.'), { message: world.err() });
  world.signals.emit('SIGTERM', 'SIGTERM');
  expect(await ended).toBe(0);
  expect(world.err()).toContain('cache of 77');
  expect((await cli(['worker', '-A', FILE, '--help'])).out).toContain('--cache-size <n>');
  expect(await cli(['worker', '-A', FILE, '--cache-sice', '1'])).toMatchObject({
    code: 2,
    err: expect.stringContaining('Did you mean --cache-size?') as string,
  });
  expect((await cli(['worker', '-A', '/no/such.mjs', '--help'])).code).toBe(0);
});
