import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

test('workerAgent is a step of each connection: an object or a class of a module', async () => {
  for (const name of ['agent', 'Agent']) {
    const world = testIo();
    const ended = run(['worker', '-A', FILE, '-n', 'w@h', `workerAgent=${FILE}:${name}`], world.io);
    await until(() => world.err().includes('ready.'), { message: world.err() });
    world.signals.emit('SIGTERM', 'SIGTERM');
    expect(await ended).toBe(0);
    expect(world.err()).toMatch(new RegExp(`${name} of w@h[^]*${name} leaves`));
    vi.resetModules();
  }
  const { err, code } = await cli(['worker', '-A', FILE, `workerAgent=${FILE}:nothing`]);
  expect(code).toBe(2);
  expect(err).toContain('is no step');
});

test("an option of the app's own reaches its steps", async () => {
  const world = testIo();
  const ended = run(['worker', '-A', FILE, '--cache-size', '77', '-n', 'w@h'], world.io);
  await until(() => world.err().includes('ready.'), { message: world.err() });
  world.signals.emit('SIGTERM', 'SIGTERM');
  expect(await ended).toBe(0);
  expect(world.err()).toContain('cache of 77');
  const env = testIo({ env: { CELERY_WORKER_CACHE_SIZE: '78' } });
  for (const [size, { io, err, signals }] of [
    [10, testIo()],
    [78, env],
  ] as const) {
    vi.resetModules();
    const untyped = run(['worker', '-A', FILE, '-n', 'w@h'], io);
    await until(() => err().includes('ready.'), { message: err() });
    signals.emit('SIGTERM', 'SIGTERM');
    expect(await untyped).toBe(0);
    expect(err()).toContain(`cache of ${size}`);
  }
  expect((await cli(['worker', '-A', FILE, '--help'])).out).toContain('--cache-size <n>');
  expect(await cli(['worker', '-A', FILE, '--cache-sice', '1'])).toMatchObject({
    code: 2,
    err: expect.stringContaining('Did you mean --cache-size?') as string,
  });
  expect((await cli(['worker', '-A', '/no/such.mjs', '--help'])).code).toBe(0);
});

/** What handlers of `userPreloadOptions` were told while `use` ran. */
async function told(use: () => Promise<unknown>): Promise<unknown[]> {
  const seen: unknown[] = [];
  const note = (...given: unknown[]): void => void seen.push(given);
  process.on('told' as 'beforeExit', note);
  await use().finally(() => process.off('told' as 'beforeExit', note));
  return seen;
}

test('an option for all commands is told before the command begins', async () => {
  const typed = ['report', '-A', FILE, '--template', 'fancy', '--json'];
  expect(await told(async () => expect((await cli(typed)).code).toBe(0))).toEqual([['report', { template: 'fancy' }]]);
  const nested = ['-A', FILE, 'graph', 'bootsteps', '-Z', 'fancy'];
  expect(await told(async () => expect((await cli(nested)).code).toBe(0))).toEqual([['graph', { template: 'fancy' }]]);
  const env = { CELERY_REPORT_TEMPLATE: 'from outside' };
  for (const [given, template] of [
    [{}, 'plain'],
    [env, 'from outside'],
  ] as const) {
    vi.resetModules();
    const seen = await told(() => cli(['report', '-A', FILE, '--json'], { env: { ...given } }));
    expect(seen).toEqual([['report', { template }]]);
  }
  expect((await cli(['report', '-A', FILE, '--help'])).out).toContain('--template <name>');
  expect((await cli(['report', '-A', FILE, '--tempalte', 'x'])).err).toContain('Did you mean --template?');
});

test.each([
  [['beat', '--region', 'us'], 'beat of beat in us', undefined],
  [['beat'], 'beat of beat in eu', undefined],
  [['worker', '-B', '-n', 'w@h'], 'beat of w@h in', 'embedded in w@h, 10'],
])('%j: the beat tells its beginning and its options', async (argv, said, embedded) => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-steps-'));
  const world = testIo({ cwd: folder });
  const ended = run([argv[0] as string, '-A', FILE, ...argv.slice(1)], world.io);
  await until(() => world.err().includes('beat: Starting...'), { message: world.err() });
  world.signals.emit('SIGTERM', 'SIGTERM');
  expect(await ended).toBe(0);
  expect(world.err()).toContain(said);
  if (embedded !== undefined) expect(world.err()).toContain(embedded);
  rmSync(folder, { recursive: true });
});
