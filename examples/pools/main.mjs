// Child processes: tasks that compute use every core, and one that never ends is killed at its hard limit.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-pools-'));
process.env.CELERY_BROKER_URL = process.env.CELERY_RESULT_BACKEND = `sqlite:///${join(folder, 'broker.db')}`;
const { Worker } = await import('celeriac/worker');
const { app, primes, stuck } = await import('./app.mjs');

const worker = new Worker(app, {
  pool: 'process',
  concurrency: 2,
  appModule: fileURLToPath(new URL('./app.mjs', import.meta.url)),
});
await worker.start();

const endless = await stuck.delay();
const results = await Promise.all([1, 2, 3, 4].map(() => primes.delay(2_000_000)));
const found = await Promise.all(results.map((result) => result.get({ timeout: '30s' })));
console.log(`${found[0].count} primes, found by processes ${[...new Set(found.map(({ pid }) => pid))].join(' and ')}`);
const error = await endless.get({ timeout: '30s' }).catch((reason) => reason);
console.log(`the endless one: ${error.type} after ${error.args[0]} s`);

await worker.stop();
await app.close();
rmSync(folder, { recursive: true });
process.exitCode = found[0].count === 148933 && error.type === 'TimeLimitExceeded' ? 0 : 1;
