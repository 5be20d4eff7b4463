import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../support/until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

test(
  'celeriac init of the packed tarball: its test passes, its worker answers its call',
  { timeout: 180_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'celeriac-init-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    execFileSync('npm', ['pack', '--pack-destination', folder, '--silent'], { cwd: ROOT, stdio: 'ignore' });
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) as string;
    execFileSync('tar', ['xzf', tarball], { cwd: folder });
    // What npm would install, without asking a registry.
    const modules = join(folder, 'node_modules');
    mkdirSync(join(modules, '@types'), { recursive: true });
    execFileSync('mv', [join(folder, 'package'), join(modules, 'celeriac')]);
    for (const name of readdirSync(join(ROOT, 'node_modules'))) {
      if (!name.startsWith('.') && name !== '@types' && name !== 'celeriac') {
        symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
      }
    }
    symlinkSync(join(ROOT, 'node_modules/@types/node'), join(modules, '@types/node'));
    const main = join(modules, 'celeriac/dist/cli/main.js');
    const run = (program: string, ...argv: string[]): string =>
      execFileSync(program, argv, { cwd: project, encoding: 'utf8', timeout: 100_000 });

    const project = join(folder, 'shop');
    mkdirSync(project);
    expect(run(process.execPath, main, 'init')).toContain('npm run worker');
    expect(() => run(process.execPath, main, 'init')).toThrow('is not empty');
    expect(run('npm', 'test')).toMatch(/pass 1\b/);
    run(process.execPath, join(ROOT, 'node_modules/typescript-5.9/bin/tsc'), '--noEmit', '-p', 'tsconfig.json');

    const worker = spawn(process.execPath, [main, 'worker', '-A', 'src/app.ts'], { cwd: project });
    onTestFinished(() => void worker.kill('SIGKILL'));
    let log = '';
    worker.stderr.on('data', (text) => (log += String(text)));
    await until(() => log.includes('ready.'), { message: 'the worker is ready' });
    expect(run('npm', 'run', 'call')).toContain('2 + 3 = 5');
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    worker.kill('SIGTERM');
    expect(await ended).toBe(0);
  },
);
