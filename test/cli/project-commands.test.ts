import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import { Session } from '../../src/cli/session.ts';
import { candidates } from '../../src/cli/completion.ts';
import { missing } from '../support/available.ts';
import { cli, testIo } from './io.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'celeriac-cli-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

const HELLO = new URL('./hello-app.mjs', import.meta.url).pathname;

test('shell: app, tasks and canvas are in scope, and await works', async () => {
  const { code, out } = await cli(['-A', HELLO, 'shell'], {
    input: [
      'add.name\n',
      "typeof tasks['math.add'].delay\n",
      'typeof chain + typeof signature\n',
      'await Promise.resolve(app.main)\n',
    ],
  });
  expect(code).toBe(0);
  expect(out.trim().split('\n')).toEqual(["'math.add'", "'function'", "'functionfunction'", "'hello'"]);
  vi.resetModules();
  const without = await cli(['-A', HELLO, 'shell', '-T'], { input: ['typeof add\n'] });
  expect(without.out.trim()).toBe("'undefined'");
});

const ID = (n: number): string => `${n}0000000-0000-4000-8000-000000000000`;
const HEAD = '[2026-01-02 03:04:05,678: INFO/MainProcess]';
const LOG = [
  '',
  ' -------------- celery@host v5.6.3 (recovery)',
  `${HEAD} celery@host ready.`,
  `${HEAD} Task math.add[${ID(1)}] received`,
  `${HEAD} Received task: math.add[${ID(2)}]  `,
  `${HEAD} Task math.div[${ID(3)}] received`,
  `${HEAD} Task math.add[${ID(1)}] succeeded in 0.1s: 3`,
  `[2026-01-02 03:04:05,678: ERROR/ForkPoolWorker-1] Task math.div[${ID(3)}] raised unexpected: ZeroDivisionError('division by zero')`,
  'Traceback (most recent call last):',
  '  File "tasks.py", line 3, in div',
  'ZeroDivisionError: division by zero',
  JSON.stringify({ time: 't', level: 'info', message: 'task received', task: 'math.add', taskId: ID(4) }),
  JSON.stringify({ time: 't', level: 'info', message: 'task succeeded', task: 'math.add', taskId: ID(4), runtime: 1 }),
].join('\n');

test('logtool reads logs of Celery 4, Celery 5 and ours', async () => {
  writeFileSync(at('w.log'), LOG);
  const run = async (...argv: string[]) => (await cli(['logtool', ...argv, at('w.log')])).out;
  expect(JSON.parse(await run('stats', '--json'))).toEqual({
    total: 4,
    errors: 1,
    succeeded: 2,
    completed: 3,
    types: { 'math.add': 3, 'math.div': 1 },
  });
  expect(await run('stats')).toContain('Task total: 4\nTask errors: 1\nTask success: 2\nTask completed: 3\n');
  expect(await run('incomplete')).toBe(`Did not complete: ${ID(2)} (math.add)\n`);
  expect((await run('errors')).trim().split('\n')).toHaveLength(1);
  expect(await run('traces')).toContain('ZeroDivisionError: division by zero\n');
  expect(await run('debug')).toBe(`${HEAD} celery@host ready.\n`);
  const piped = await cli(['logtool', 'incomplete'], { input: LOG });
  expect(piped.out).toContain(ID(2));
  expect((await cli(['logtool', 'stats', at('none.log')])).code).toBe(2);
});

test('logtool reads what a worker of ours writes', async () => {
  const { sentence } = await import('../../src/cli/logging/sentences.ts');
  const line = (message: string, more = {}): string =>
    `${HEAD} ${sentence({ task: 'a.b', taskId: ID(5), ...more }, message).text}`;
  writeFileSync(
    at('w.log'),
    [line('task received'), line('task retry', { retry: 'x' }), line('task received')].join('\n'),
  );
  expect((await cli(['logtool', 'incomplete', at('w.log')])).out).toBe(`Did not complete: ${ID(5)} (a.b)\n`);
});

test('graph workers: DOT and Mermaid', async () => {
  const argv = ['-b', 'memory://', '--result-backend', 'memory://', 'graph', 'workers', 'nodes:a@h,b@h', 'threads:1,9'];
  const { out } = await cli(argv);
  expect(out).toMatch(/^digraph "Workers" \{\n/);
  for (const part of ['label="a@h"', 'label="P9"', 'label="7 more"', 'shape="circle"']) expect(out).toContain(part);
  expect(out.match(/ -> /g)).toHaveLength(2 * 2 + 1 + 3);
  expect((await cli([...argv, '--mermaid'])).out).toMatch(/^graph TD\n {2}n1\["memory/);
  expect((await cli([...argv, 'colour:red'])).code).toBe(2);
  expect((await cli(['-b', 'memory://', 'graph', 'workers', '-t', '0.05'])).code).toBe(69);
});

const OLD = `BROKER_URL = os.environ["BROKER_URL"]
CELERY_RESULT_BACKEND = 'redis://'
CELERYD_CONCURRENCY = 4  # not MY_CELERYD_CONCURRENCY
app.conf.CELERY_TASK_SERIALIZER = 'json'
`;

test('upgrade settings: Python, Django and TypeScript names, with a backup', async () => {
  writeFileSync(at('celeryconfig.py'), OLD);
  const dry = await cli(['upgrade', 'settings', at('celeryconfig.py'), '--dry-run', '--json']);
  expect((JSON.parse(dry.out) as { changes: unknown[] }).changes).toHaveLength(4);
  expect(readFileSync(at('celeryconfig.py'), 'utf8')).toBe(OLD);
  await cli(['upgrade', 'settings', at('celeryconfig.py')]);
  expect(readFileSync(at('celeryconfig.py'), 'utf8')).toBe(
    `broker_url = os.environ["BROKER_URL"]\nresult_backend = 'redis://'\nworker_concurrency = 4  # not MY_CELERYD_CONCURRENCY\napp.conf.task_serializer = 'json'\n`,
  );
  expect(readFileSync(at('celeryconfig.py.orig'), 'utf8')).toBe(OLD);
  expect((await cli(['upgrade', 'settings', at('celeryconfig.py')])).out).toBe('Nothing to change.\n');
  writeFileSync(at('settings.py'), OLD);
  await cli(['upgrade', 'settings', '--django', '--no-backup', at('settings.py')]);
  expect(readFileSync(at('settings.py'), 'utf8')).toContain('CELERY_WORKER_CONCURRENCY = 4');
  writeFileSync(at('settings.ts'), 'export const CELERYD_CONCURRENCY = 4;');
  await cli(['upgrade', 'settings', at('settings.ts')]);
  expect(readFileSync(at('settings.ts'), 'utf8')).toBe('export const workerConcurrency = 4;');
});

test.each([
  [['wo'], ['worker']],
  [
    ['inspect', 'act'],
    ['active', 'active_queues'],
  ],
  [['-A', 'app.ts', 'control', 'shut'], ['shutdown']],
  [['amqp', 'basic.g'], ['basic.get']],
  [
    ['list', ''],
    ['bindings', 'help'],
  ],
  [['worker', '--conc'], ['--concurrency']],
  [['worker', '-A', ''], []],
  [
    ['completion', ''],
    ['bash', 'fish', 'zsh'],
  ],
  [['logtool', 'st'], ['stats']],
])('completion of %j', (words, expected) => {
  const found = candidates(buildProgram(new Session(testIo().io)), words);
  expect(found.filter((name) => name !== 'help')).toEqual(expected.filter((name) => name !== 'help'));
});

test('completion in a real bash', async () => {
  const { out } = await cli(['completion', 'bash']);
  const bin = at('celeriac');
  const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;
  writeFileSync(bin, `#!/bin/sh\nexec "${process.execPath}" --import tsx "${main}" "$@"\n`, { mode: 0o755 });
  writeFileSync(at('script.sh'), out);
  const script = `. ${at('script.sh')}; COMP_WORDS=(celeriac inspect act); COMP_CWORD=2; _celeriac; echo "\${COMPREPLY[@]}"`;
  const shown = execFileSync('bash', ['-c', script], {
    env: { ...process.env, PATH: `${folder}:${process.env['PATH']}` },
  });
  expect(String(shown)).toBe('active active_queues\n');
});

/** A `celeriac` that runs from the sources. */
function onPath(): NodeJS.ProcessEnv {
  const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;
  const script = `#!/bin/sh\nexec "${process.execPath}" --import tsx "${main}" "$@"\n`;
  writeFileSync(at('celeriac'), script, { mode: 0o755 });
  return { ...process.env, PATH: `${folder}:${process.env['PATH']}` };
}

test.skipIf(missing('zsh') !== undefined)('completion in a real zsh', async () => {
  writeFileSync(at('script.zsh'), (await cli(['completion', 'zsh'])).out);
  // Outside of its line editor, what would be offered is printed.
  const script = `autoload -U compinit; compinit -u -d ${at('dump')}; compadd() { print -r -- \${(P)2}; }; _files() { print files; }
    . ${at('script.zsh')}; words=(celeriac inspect act); CURRENT=3; _celeriac; words=(celeriac worker -A ''); CURRENT=4; _celeriac`;
  const shown = execFileSync('zsh', ['-f', '-c', script], { env: onPath() });
  expect(String(shown)).toBe('active active_queues\nfiles\n');
});

test.skipIf(missing('fish') !== undefined)('completion in a real fish', async () => {
  writeFileSync(at('script.fish'), (await cli(['completion', 'fish'])).out);
  const script = `source ${at('script.fish')}; complete -C 'celeriac inspect act'`;
  const shown = execFileSync('fish', ['--no-config', '-c', script], { env: { ...onPath(), HOME: folder } });
  expect(String(shown)).toBe('active\nactive_queues\n');
});

test('commands of a plug-in, named in package.json', async () => {
  writeFileSync(at('package.json'), JSON.stringify({ type: 'module', celeriac: { commands: ['./commands.mjs'] } }));
  writeFileSync(
    at('commands.mjs'),
    `export function addCommands(program, context) {
      program.command('tasks').description('names of tasks').option('--prefix <text>').action(async ({ prefix = '' }) => {
        const app = await context.app();
        context.json(app.tasks.names().filter((name) => name.startsWith(prefix)));
      });
    }`,
  );
  const { code, out } = await cli(['-A', HELLO, 'tasks', '--prefix', 'math.'], { cwd: folder });
  expect({ code, out }).toEqual({ code: 0, out: '["math.add"]\n' });
  expect((await cli(['__complete', 'tas'], { cwd: folder })).out).toBe('tasks\n');
  mkdirSync(at('broken'));
  writeFileSync(at('broken/package.json'), JSON.stringify({ celeriac: { commands: './nothing.mjs' } }));
  const broken = await cli(['--workdir', at('broken'), 'report']);
  expect(broken.code).toBe(2);
  expect(broken.err).toContain('named in package.json');
});
