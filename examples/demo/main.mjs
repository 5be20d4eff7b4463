// npm run demo: three worker processes on the embedded broker measure every source file of this checkout.
// One of them is killed with SIGKILL on the way; nothing is lost, and the totals can be checked with shell tools.
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createApp } from './app.mjs';
import { progress } from './progress.mjs';

const MOST_FILES = 6_000;
const WORKERS = 3;
const SOURCE = /\.(ts|mts|cts|js|mjs|cjs|json|md|py)$/;

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'celeriac-demo-'));
const url = `sqlite:///${join(folder, 'broker.db')}`;

/** Source files below the checkout, its node_modules included; names that a shell could trip over are left out. */
function sourceFiles() {
  const found = [];
  const folders = ['src', 'test', 'docs', 'examples', 'node_modules'];
  for (let at; found.length < MOST_FILES && (at = folders.shift()) !== undefined;) {
    let entries;
    try {
      entries = readdirSync(join(root, at), { withFileTypes: true });
    } catch {
      continue;
    }
    for (const entry of entries) {
      // Folders such as node_modules/.vite hold caches that may change while the demo runs.
      if (entry.name.startsWith('.')) continue;
      const path = `${at}/${entry.name}`;
      if (entry.isDirectory()) folders.push(path);
      else if (entry.isFile() && SOURCE.test(entry.name) && !/[\s'"\\]/.test(path)) found.push(join(root, path));
    }
  }
  return found.slice(0, MOST_FILES);
}

function startWorker(name) {
  const child = fork(fileURLToPath(new URL('./worker.mjs', import.meta.url)), [url, name]);
  return new Promise((resolve, reject) => {
    child.once('message', () => resolve(child));
    child.once('exit', (code) => reject(new Error(`worker ${name} ended with ${code} before it was ready`)));
  });
}

/** What the shell commands below compute, from the results. */
function summarize(results) {
  const lines = results.map(({ sha256, path }) => `${sha256}  ${path}\n`).sort();
  return {
    files: results.length,
    lines: results.reduce((sum, { lines: count }) => sum + count, 0),
    bytes: results.reduce((sum, { bytes }) => sum + bytes, 0),
    checksum: createHash('sha256').update(lines.join('')).digest('hex'),
  };
}

/** The same without any queue, to compare with. */
function measureHere(files) {
  return files.map((path) => {
    const content = readFileSync(path);
    let lines = 0;
    for (const byte of content) if (byte === 10) lines++;
    return { path, sha256: createHash('sha256').update(content).digest('hex'), bytes: content.length, lines };
  });
}

const files = sourceFiles();
const manifest = join(folder, 'files.txt');
writeFileSync(manifest, files.map((path) => `${path}\n`).join(''));
console.log(`Broker    ${url}`);
console.log(`Workers   ${WORKERS} processes, 8 tasks at a time each`);
console.log(`Tasks     ${files.length}: hash, measure and count one source file each\n`);

const workers = await Promise.all(Array.from({ length: WORKERS }, (_, i) => startWorker(`w${i + 1}@demo`)));
const { app, measure } = createApp(url);
const bar = progress(files.length);
const started = performance.now();
let done = 0;
let replacement;

const results = [];
const pending = files.map(async (path) => {
  const handle = await measure.delay(path);
  results.push(await handle.get({ timeout: '120s' }));
  bar.show(++done);
  if (done === Math.floor(files.length / 4)) {
    const [victim] = workers;
    victim.kill('SIGKILL');
    bar.note(`worker w1 (pid ${victim.pid}) was killed with SIGKILL; what it held goes to the others`);
    replacement = startWorker('w4@demo');
  }
});
await Promise.all(pending);
bar.end();
const seconds = (performance.now() - started) / 1000;

const alive = [...workers.slice(1), await replacement];
const gone = alive.map((child) => new Promise((resolve) => child.once('exit', resolve)));
for (const child of alive) child.kill('SIGTERM');
await Promise.all(gone);
await app.close();

const summary = summarize(results);
console.log(`\n${summary.files} files, ${summary.lines} lines, ${summary.bytes} bytes in ${seconds.toFixed(1)} s`);
console.log(`checksum of all checksums: ${summary.checksum}\n`);
console.log('Check it with your own tools:');
console.log(`  xargs -a ${manifest} cat | wc -lc`);
console.log(`  xargs -a ${manifest} sha256sum | LC_ALL=C sort | sha256sum\n`);

const expected = measureHere(files);
const right = JSON.stringify(summary) === JSON.stringify(summarize(expected));
console.log(right ? 'Nothing lost: the totals are right.' : 'The totals are WRONG.');
if (!right) {
  const got = new Map(results.map((result) => [result.path, result]));
  const wrong = expected.filter(({ path, sha256 }) => got.get(path)?.sha256 !== sha256);
  for (const { path } of wrong.slice(0, 10)) {
    console.log(`  ${got.has(path) ? 'differs (did it change meanwhile?)' : 'missing'}: ${path}`);
  }
}
process.exitCode = right ? 0 : 1;
