// What does this worker do? Its tasks, where the code of its child processes is, its memory. SIGUSR1 writes the same to
// the log of `celeriac worker`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-dump-'));
process.env.CELERY_BROKER_URL = process.env.CELERY_RESULT_BACKEND = `sqlite:///${join(folder, 'broker.db')}`;
const { Worker } = await import('celeriac/worker');
const { app, spin } = await import('./app.mjs');

const appModule = fileURLToPath(new URL('./app.mjs', import.meta.url));
const worker = new Worker(app, { pool: 'process', concurrency: 1, appModule, hostname: 'w1@example' });
await worker.start();
const result = await spin.delay(1_500);
let text = '';
while (!text.includes('app.mjs:') && !(await result.ready())) text = await worker.dump();
console.log(text);
await result.get({ timeout: '30s' });
await worker.stop();
await app.close();
rmSync(folder, { recursive: true });
process.exitCode = text.includes(`math.spin[${result.id}]`) && text.includes('app.mjs:') ? 0 : 1;
