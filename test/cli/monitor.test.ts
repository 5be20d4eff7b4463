import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { Celery } from '../../src/app/celery.ts';
import { Dumper } from '../../src/cli/monitor/dump.ts';
import { run } from '../../src/cli/program.ts';
import { testWorker } from '../../src/testing/index.ts';
import { missing } from '../support/available.ts';
import { until } from '../support/until.ts';
import { cli, testIo } from './io.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function embedded(): { url: string; app: Celery } {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-monitor-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const url = `sqlite:///${join(folder, 'broker.db')}`;
  return { url, app: new Celery({ broker: url, backend: url, env: {} }) };
}

test('a dumped event reads as Celery writes it, and moves no cursor', () => {
  const dumper = new Dumper();
  const common = { hostname: 'w1@host', timestamp: 1767323045.5 };
  expect(dumper.line({ ...common, type: 'worker-heartbeat', active: 1, freq: 2 })).toBe(
    'w1@host [2026-01-02 03:04:05.500+00:00] heartbeat: active=1, freq=2',
  );
  dumper.line({ ...common, type: 'task-received', uuid: 'id-1', name: 'a.b', args: '(1,)', kwargs: '{}', retries: 0 });
  expect(dumper.line({ ...common, type: 'task-succeeded', uuid: 'id-1', result: '\u001b[2J', runtime: 0.5 })).toBe(
    'w1@host [2026-01-02 03:04:05.500+00:00] task succeeded: a.b(id-1) args=(1,) kwargs={} result=\\x1b[2J, runtime=0.5',
  );
});

test('events --dump tells what a worker does; without a terminal there is no screen', async () => {
  const { url, app } = embedded();
  await using owned = app;
  const add = owned.task('math.add', (x: number, y: number) => x + y);
  await using _ = await testWorker(owned, { hostname: 'w1@test', taskEvents: true });
  const { io, signals, out } = testIo();
  const ended = run(['-q', '-b', url, 'events', '--dump'], io);
  await until(async () => {
    await add.delay(2, 3);
    return out().includes('task succeeded');
  });
  expect(out()).toMatch(/w1@test \[[^\]]+\] task received: math\.add\([\w-]+\) args=\[?\(?2, 3/);
  signals.emit('SIGTERM', 'SIGTERM');
  expect(await ended).toBe(0);
  expect(await cli(['-b', url, 'top'])).toMatchObject({ code: 2 });
});

const TMUX = 'tmux';

test.skipIf(missing('tmux'))(
  'top in a terminal: workers, tasks, details, revoke, quit',
  { timeout: 120_000 },
  async () => {
    const { url, app } = embedded();
    await using owned = app;
    const add = owned.task('math.add', (x: number, y: number) => x + y);
    const ran: string[] = [];
    owned.task('slow', { bind: true }, (ctx) => void ran.push(ctx.id));
    await using _ = await testWorker(owned, { hostname: 'w1@test', taskEvents: true, withoutHeartbeat: false });

    const socket = `celeriac-${process.pid}`;
    const tmux = (...argv: string[]): string =>
      execFileSync(TMUX, ['-L', socket, ...argv], { encoding: 'utf8', cwd: ROOT });
    onTestFinished(() => void tmux('kill-server'));
    const command = `'${process.execPath}' --import tsx src/cli/main.ts -b '${url}' top -F 0.2; echo "ended with $?"; sleep 60`;
    tmux('-f', '/dev/null', 'new-session', '-d', '-x', '120', '-y', '20', command);
    const screen = (): string => tmux('capture-pane', '-p');
    const shows = (text: string): Promise<string> =>
      until(() => (screen().includes(text) ? screen() : undefined), {
        message: `"${text}" on the screen, which has\n${screen()}`,
      });

    await shows('1 workers');
    const { id } = await add.delay(2, 3);
    expect(await shows('SUCCESS')).toContain(id);
    tmux('send-keys', 'Down', 'i');
    const details = await shows('result     5');
    expect(details).toContain('name       math.add');
    tmux('send-keys', 'i');
    const later = await owned.send('slow', [], { countdown: '1h' });
    await shows(later.id);
    tmux('send-keys', 'Up', 'r');
    await shows(`Revoke ${later.id}?`);
    tmux('send-keys', 'y', 'Enter');
    await shows(`Revoked ${later.id}.`);
    await until(async () =>
      JSON.stringify(await owned.control.inspect({ timeout: '1s' }).revoked()).includes(later.id),
    );
    tmux('send-keys', 'l');
    await shows('Rate limit of slow');
    tmux('send-keys', '7/m', 'Enter');
    await shows('new rate limit set successfully');
    tmux('send-keys', 'q');
    await shows('ended with 0');
    expect(ran).toEqual([]);
  },
);

test('events --camera calls the shutter of a module again and again', async () => {
  const { url, app } = embedded();
  await using owned = app;
  const add = owned.task('math.add', (x: number, y: number) => x + y);
  await using _ = await testWorker(owned, { hostname: 'w1@test' });
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-camera-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const pictures = join(folder, 'pictures');
  writeFileSync(
    join(folder, 'camera.mjs'),
    `import { appendFileSync } from 'node:fs';
     export default class Camera {
       constructor({ app, options }) {
         if (!app.send || options.maxrate !== '100/s') throw new Error('what is this?');
       }
       onShutter(state) {
         const tasks = [...state.tasks.values()].map(({ name, state }) => name + ' ' + state);
         appendFileSync(${JSON.stringify(pictures)}, [...state.workers.values()].map((one) => one.hostname) + ' ' + tasks + '\\n');
         if (tasks.length > 0) throw new Error('film is full');
       }
     }`,
  );
  const log = join(folder, 'log');
  const { io, signals } = testIo({ cwd: folder });
  const ended = run(['-b', url, 'events', '-c', './camera.mjs', '--freq', '0.05', '-r', '100/s', '-f', log], io);
  await (await add.delay(2, 3)).get({ timeout: '20s' });
  const seen = (): string => (existsSync(pictures) ? readFileSync(pictures, 'utf8') : '');
  await until(async () => {
    await add.delay(2, 3);
    return seen().split('math.add SUCCESS').length > 3;
  });
  expect(seen()).toMatch(/^w1@test .*math\.add SUCCESS/m);
  signals.emit('SIGTERM', 'SIGTERM');
  expect(await ended).toBe(0);
  expect(readFileSync(log, 'utf8')).toMatch(/taking pictures with \.\/camera\.mjs, every 0\.05 s[^]*film is full/);
});

test.each([
  [['--camera', './none.mjs'], 'none.mjs'],
  [['--camera', './hello-app.mjs:app'], 'expected an object with onShutter'],
  [['--camera', './x.mjs', '-r', 'often'], "expected a rate such as '10/s'"],
  [['--detach'], '--detach is for a camera'],
])('events %j is wrong usage and says why', async (argv, why) => {
  const { code, err } = await cli(['-b', 'memory://', 'events', ...argv], { cwd: join(ROOT, 'test/cli') });
  expect(err).toContain(why);
  expect(code).toBe(2);
});
