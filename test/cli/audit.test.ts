import { execFile, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import { Session } from '../../src/cli/session.ts';
import { until } from '../support/until.ts';
import { cli, testIo } from './io.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'celeriac-audit-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

function* leaves(command: Command, path: string): Generator<[path: string, command: Command]> {
  for (const one of command.commands) {
    if (one.commands.length > 0) yield* leaves(one, `${path} ${one.name()}`);
    else yield [`${path} ${one.name()}`.trim(), one];
  }
}

/** They print a script, or talk to a person; the words of multi are Celery's. */
const WITHOUT_JSON = ['shell', 'top', 'completion', 'multi'];

test('every command says what it does, explains its options, and can answer in JSON', () => {
  for (const [path, command] of leaves(buildProgram(new Session(testIo().io)), '')) {
    expect(command.description(), path).not.toBe('');
    for (const { flags, description, hidden } of command.options) {
      if (!hidden) expect(description, `${path} ${flags}`).not.toBe('');
    }
    const json = command.options.some(({ long }) => long === '--json');
    expect(json, `${path} --json`).toBe(!WITHOUT_JSON.includes(path));
  }
});

test.each([
  ['celery.config.mjs', [], "export default { brokerUrl: 'memory://', taskDefaultQueue: 'from-file' };"],
  ['other.mjs', ['--config', 'other.mjs'], "export const broker_url = 'memory://', task_default_queue = 'from-file';"],
])('a file of settings counts without -A: %s', async (name, argv, text) => {
  writeFileSync(at(name), text);
  const { code, out } = await cli([...argv, 'call', 'a.task', '--json'], { cwd: folder });
  expect({ code, out }).toMatchObject({ code: 0 });
  const report = await cli([...argv, 'report'], { cwd: folder });
  expect(report.out).toContain('from-file');
  const typed = await cli([...argv, '-b', 'redis://nowhere.invalid', 'report'], { cwd: folder });
  expect(typed.out).toContain('redis://nowhere.invalid');
});

/** The command line in a process of its own, from the sources. */
function celeriac(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', join(ROOT, 'src/cli/main.ts'), ...argv],
      { cwd: ROOT, timeout: 50_000 },
      (error, out, err) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err }),
    );
  });
}

test('settings stand in for daemon options that are not typed', { timeout: 120_000 }, async () => {
  writeFileSync(
    at('app.ts'),
    `import { Celery } from '${join(ROOT, 'src/index.ts')}';
     export const app = new Celery({
       broker: 'sqlite:///${at('broker.db')}', workerPidfile: '${at('%n.pid')}', workerLogfile: '${at('%n.log')}', workerUmask: '027',
     });`,
  );
  const started = await celeriac('worker', '-A', at('app.ts'), '--detach', '-n', 'w1@test', '-c', '1');
  expect(started).toMatchObject({ code: 0, err: '' });
  const pid = Number(readFileSync(at('w1.pid'), 'utf8'));
  try {
    await until(() => readFileSync(at('w1.log'), 'utf8').includes('w1@test ready.'), {
      message: 'the worker is ready',
    });
    expect(statSync(at('w1.pid')).mode & 0o077).toBe(0o040);
    const again = await celeriac('worker', '-A', at('app.ts'), '--detach', '-n', 'w1@test', '-c', '1');
    expect(again.code).not.toBe(0);
    expect(again.err).toContain('w1.pid');
  } finally {
    process.kill(pid, 'SIGTERM');
  }
  await until(() => !existsSync(at('w1.pid')), { message: 'the pidfile is gone' });
});

/** Root, and a checkout that others may read. */
function mayBecomeNobody(): boolean {
  if (process.getuid?.() !== 0) return false;
  return spawnSync('test', ['-r', join(ROOT, 'src/index.ts')], { uid: 65_534, gid: 65_534 }).status === 0;
}

test.skipIf(!mayBecomeNobody())(
  'root starts a worker that runs as somebody else, with its log (skipped for others, and where nobody may not read the checkout)',
  { timeout: 120_000 },
  async () => {
    chmodSync(folder, 0o777);
    writeFileSync(
      at('app.ts'),
      `import { Celery } from '${join(ROOT, 'src/index.ts')}';
     export const app = new Celery({ broker: 'memory://', backend: 'memory://' });`,
    );
    const files = ['--pidfile', at('%n.pid'), '--logfile', at('%n.log')];
    const words = [
      'worker',
      '-A',
      at('app.ts'),
      '--detach',
      '-n',
      'w1@test',
      '-c',
      '1',
      '--uid',
      'nobody',
      '--gid',
      '65534',
    ];
    expect(await celeriac(...words, ...files)).toMatchObject({ code: 0, err: '' });
    const pid = Number(readFileSync(at('w1.pid'), 'utf8'));
    try {
      const log = (): string => readFileSync(at('w1.log'), 'utf8');
      await until(() => log().includes('ready.') || log().includes('Error'), { message: 'the worker is ready' });
      expect(log()).toContain('w1@test ready.');
      expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/\nUid:\t65534\t/);
    } finally {
      process.kill(pid, 'SIGTERM');
    }
    await until(() => !existsSync(`/proc/${pid}`), { message: 'it is gone' });
  },
);
