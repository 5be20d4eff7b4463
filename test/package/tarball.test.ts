import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { VERSION } from '../../src/version.ts';

/*
 * The packed tarball, as an empty project sees it. Dependencies are linked from this checkout, so that no network
 * is needed; optional peers are linked only where a test says so.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string;
  exports: Record<string, unknown>;
  dependencies: Record<string, string>;
};
const subPaths = Object.keys(manifest.exports).filter((path) => path !== './package.json');
let folder: string;

function run(code: string, type: 'module' | 'commonjs' = 'module'): string {
  return execFileSync(process.execPath, [`--input-type=${type}`, '-e', code], { cwd: folder, encoding: 'utf8' }).trim();
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'celeriac-package-'));
  const packed = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
    encoding: 'utf8',
  });
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, 'celeriac'), { recursive: true });
  const tarball = join(folder, packed.trim().split('\n').at(-1) as string);
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', join(modules, 'celeriac')]);
  for (const name of Object.keys(manifest.dependencies))
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the version in the code is the package’s', () => {
  expect(VERSION).toBe(manifest.version);
});

test.each(subPaths)('%s can be imported and required, and is one instance', (path) => {
  const name = path.replace('.', 'celeriac');
  const same = run(`
    import { createRequire } from 'node:module';
    const imported = await import('${name}');
    const required = createRequire(process.cwd() + '/x.js')('${name}');
    const names = Object.keys(imported);
    console.log(names.length > 0 && names.every((one) => imported[one] === required[one]));
  `);
  expect(same).toBe('true');
  expect(run(`console.log(typeof require('${name}'))`, 'commonjs')).toBe('object');
});

test('importing celeriac loads neither worker, driver nor command line', () => {
  const urls = execFileSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { register } from 'node:module';
       register('data:text/javascript,' + encodeURIComponent(
         'import { writeSync } from "node:fs"; export async function load(url, context, next) { writeSync(1, url + "\\\\n"); return next(url, context) }'));
       await import('celeriac');`,
    ],
    { cwd: folder, encoding: 'utf8' },
  );
  const files = urls.split('\n').filter((url) => url.includes('/celeriac/dist/'));
  const sources = files.flatMap((url) =>
    [...readFileSync(fileURLToPath(url), 'utf8').matchAll(/^\/\/#region (src\/\S+)$/gm)].map(([, source]) => source),
  );
  expect(sources).toContain('src/app/celery.ts');
  expect(
    sources.filter((source) =>
      /^src\/(worker|pools|cli|testing|transports\/(memory|sqlite|redis|amqp)|backends\/(memory|sqlite|redis))/.test(
        String(source),
      ),
    ),
  ).toEqual([]);
  expect(urls).not.toMatch(/ioredis|libsql|commander/);
});

test('celeriac/testing works from its CommonJS files alone, as Jest loads it', () => {
  const dist = join(folder, 'node_modules', 'celeriac', 'dist');
  const result = run(
    `const { Module } = require('node:module');
     const loaded = [];
     const load = Module._load;
     Module._load = function (request, ...rest) { loaded.push(Module._resolveFilename(request, ...rest)); return load.call(this, request, ...rest); };
     const { recordSent, testApp, testWorker } = require(${JSON.stringify(join(dist, 'testing', 'index.cjs'))});
     (async () => {
       const app = testApp();
       const add = app.task('add', (x, y) => x + y);
       const sent = recordSent(app);
       const worker = await testWorker(app);
       const value = await (await add.delay(2, 3)).get({ timeout: '20s' });
       sent.assertSent('add', { args: [2, 3], times: 1 });
       await worker.stop();
       await app.close();
       const own = loaded.filter((file) => file.startsWith(${JSON.stringify(dist)}));
       console.log(JSON.stringify({ value, several: own.length > 5, others: own.filter((file) => !file.endsWith('.cjs')) }));
     })();`,
    'commonjs',
  );
  expect(JSON.parse(result)).toEqual({ value: 5, several: true, others: [] });
});

test('the command runs', () => {
  const bin = join(folder, 'node_modules', 'celeriac', 'dist', 'cli', 'main.js');
  expect(execFileSync(process.execPath, [bin, '--version'], { cwd: folder, encoding: 'utf8' })).toContain(VERSION);
});

test('a driver whose library is missing says what to install', () => {
  const message = run(`
    import { Celery } from 'celeriac';
    const app = new Celery({ broker: 'redis://127.0.0.1:1' });
    const task = app.task('t', () => 1);
    await task.delay().catch((error) => console.log(error.code, error.message));
    await app.close();
  `);
  expect(message).toContain('npm install ioredis');
});
