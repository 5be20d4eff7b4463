import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../support/until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;
const at = (name: string): string => join(folder, name);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'celeriac-multi-'));
  writeFileSync(
    at('app.ts'),
    `import { Celery } from '${join(ROOT, 'src/index.ts')}';
     export const app = new Celery({ broker: 'sqlite:///${at('broker.db')}' });
     app.task('pid', () => process.pid);`,
  );
});
afterEach(() => {
  for (const name of ['w1', 'w2']) {
    if (existsSync(at(`${name}.pid`))) process.kill(pid(name), 'SIGKILL');
  }
  rmSync(folder, { recursive: true, force: true });
});

const pid = (name: string): number => Number(readFileSync(at(`${name}.pid`), 'utf8'));

function celeriac(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const words = ['--import', 'tsx', join(ROOT, 'src/cli/main.ts'), ...argv];
  const env = { ...process.env, CELERY_BROKER_URL: `sqlite:///${at('broker.db')}` };
  return new Promise((resolve) => {
    execFile(process.execPath, words, { cwd: ROOT, timeout: 50_000, env }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err }),
    );
  });
}

const NODES = ['w1@test', 'w2@test'];
const files = (): string[] => [`--pidfile=${at('%n.pid')}`, `--logfile=${at('%n.log')}`];
const worker = (): string[] => ['-A', at('app.ts'), '-c', '1', '-c:w2', '3', '-l', 'INFO', ...files()];

test('multi start, status, restart and stopwait with real workers', { timeout: 120_000 }, async () => {
  const started = await celeriac('multi', 'start', ...NODES, ...worker());
  expect(started).toMatchObject({ code: 0, err: '' });
  expect(started.out).toContain('> w2@test: OK');
  const before = [pid('w1'), pid('w2')];
  await until(() => readFileSync(at('w1.log'), 'utf8').includes('w1@test ready.'), { message: 'w1 is ready' });
  await until(() => readFileSync(at('w2.log'), 'utf8').includes('w2@test ready.'), { message: 'w2 is ready' });
  const stats = await celeriac('inspect', 'stats', '--json', '-t', '5');
  const pools = JSON.parse(stats.out) as Record<string, { pid: number; pool: { 'max-concurrency': number } }>;
  expect(NODES.map((name) => [pools[name]?.pid, pools[name]?.pool['max-concurrency']])).toEqual([
    [before[0], 1],
    [before[1], 3],
  ]);

  const twice = await celeriac('multi', 'start', 'w1@test', ...worker());
  expect(twice.code).toBe(1);
  expect(twice.err).toContain(`process ${before[0]} is running`);

  const restarted = await celeriac('multi', 'restart', ...NODES, ...worker());
  expect(restarted.code).toBe(0);
  expect([pid('w1'), pid('w2')]).not.toContain(before[0]);
  const stopped = await celeriac('multi', 'stopwait', ...NODES, ...files());
  expect(stopped).toMatchObject({ code: 0 });
  expect(existsSync(at('w1.pid')) || existsSync(at('w2.pid'))).toBe(false);
  expect((await celeriac('multi', 'stop', 'w1@test', ...files())).out).toContain('w1@test: DOWN');
});

test(
  'a stale pidfile is replaced, a daemon that fails is reported, rights are dropped',
  { timeout: 120_000 },
  async () => {
    writeFileSync(at('w1.pid'), '2147480000\n');
    const root = process.getuid?.() === 0;
    const argv = ['-A', at('app.ts'), 'worker', '-n', 'w1@test', '--umask', '027', '-D', ...files()];
    const { code } = await celeriac(...argv);
    expect(code).toBe(0);
    await until(() => readFileSync(at('w1.log'), 'utf8').includes('ready.'), { message: 'ready' });
    expect(readFileSync(`/proc/${pid('w1')}/status`, 'utf8')).toContain('Umask:\t0027');
    process.kill(pid('w1'), 'SIGTERM');
    await until(() => !existsSync(at('w1.pid')), { message: 'the pidfile is removed' });

    const broken = await celeriac(
      '-A',
      at('nothing.ts'),
      'worker',
      '-D',
      '-n',
      'w2@test',
      `--logfile=${at('%n.log')}`,
      `--pidfile=${at('x/%n.pid')}`,
    );
    expect(broken.code).toBe(1);
    expect(broken.err).toContain('the process in the background did not start');
    if (!root) return;
    const refused = await celeriac('-A', at('app.ts'), 'worker', '--uid', 'no-such-user', '-n', 'w2@test');
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('cannot run as user no-such-user');
    chmodSync(folder, 0o755);
    writeFileSync(
      at('who.mjs'),
      'throw new Error(`seen ${process.getuid()} ${process.getgid()} ${process.getgroups()}`);',
    );
    const dropped = await celeriac('-A', at('who.mjs'), 'worker', '--uid', '65534', '--gid', '65534', '-n', 'w2@test');
    expect(dropped.err).toContain('seen 65534 65534 65534');
  },
);
