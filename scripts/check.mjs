// Everything that needs no server: `npm run check`. Two steps run at a time; all failures are shown.
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { mkdtempSync, rmSync, writeFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name) => join(root, 'node_modules', '.bin', name);
const compiler = (name) => join(root, 'node_modules', name, 'bin', 'tsc');

/** A project that knows only what is published: dist/, seen through `exports`. */
function consumer() {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-types-'));
  mkdirSync(join(folder, 'node_modules', '@types'), { recursive: true });
  symlinkSync(root, join(folder, 'node_modules', 'celeriac'));
  symlinkSync(join(root, 'node_modules', '@types', 'node'), join(folder, 'node_modules', '@types', 'node'));
  symlinkSync(join(root, 'node_modules', 'undici-types'), join(folder, 'node_modules', 'undici-types'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(folder, 'use.ts'),
    `import { Celery, chain, group } from 'celeriac';
import { Worker } from 'celeriac/worker';
import { ManualClock } from 'celeriac/testing';
const app = new Celery({ broker: 'memory://' });
const add = app.task('add', (x: number, y: number) => x + y);
const total = app.task('total', (xs: number[]) => xs.length);
const bound = app.task('bound', { bind: true, maxRetries: 2 }, async (ctx, s: string) => ctx.id + s);
export const a: number = await (await add.delay(1, 2)).get();
export const b: string = await (await bound.delay('x')).get();
export const c: number = await (await chain(group([add.s(1, 1), add.s(2, 2)]), total.s()).delay()).get();
// @ts-expect-error an argument is missing
add.delay(1);
export const worker: Worker = new Worker(app, { concurrency: 2 });
export const clock: ManualClock = new ManualClock();
`,
  );
  const options = [
    '--strict',
    '--noEmit',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--lib',
    'es2023,esnext.disposable',
  ];
  return { folder, options: [...options, '--types', 'node', '--exactOptionalPropertyTypes', 'use.ts'] };
}

const user = consumer();
/** @type {[name: string, command: string, args: string[], cwd?: string][]} */
const ofSources = [
  [
    'format',
    bin('prettier'),
    ['--check', '--log-level', 'warn', '--cache', '--cache-location', '.cache/prettier', '.'],
  ],
  ['lint', bin('oxlint'), ['--type-aware', '--deny-warnings']],
  ['types (TypeScript 7)', process.execPath, [compiler('typescript-7'), '--noEmit', '-p', 'tsconfig.json']],
  ['unused code', bin('knip'), ['--no-progress']],
];
const build = ['build', bin('tsdown'), ['--log-level', 'warn']];
/** These read dist/. */
const ofPackage = [
  ['package shape (attw)', bin('attw'), ['--pack', '.', '--profile', 'node16', '--format', 'ascii', '-q']],
  ['public types (TypeScript 5.9)', process.execPath, [compiler('typescript-5.9'), ...user.options], user.folder],
  ['public types (TypeScript 6)', process.execPath, [compiler('typescript'), ...user.options], user.folder],
  ['package shape (publint)', bin('publint'), ['--strict']],
];

let passed = 0;
let failed = 0;
async function run([name, command, args, cwd = root]) {
  const started = performance.now();
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', resolve);
  });
  const [status, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`);
  if (status === 0) passed++;
  else {
    failed++;
    console.log(`${stdout}${stderr}`);
  }
}

async function inTurn(steps) {
  for (let step = steps.shift(); step; step = steps.shift()) await run(step);
}

const built = run(build);
await Promise.all([
  inTurn(ofSources)
    .then(() => built)
    .then(() => inTurn(ofPackage)),
  built.then(() => inTurn(ofPackage)),
]);
rmSync(user.folder, { recursive: true, force: true });
console.log(`check: ${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
