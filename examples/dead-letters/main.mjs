// A message that kills its child each time is put away after `maxDeliveries` tries, looked at, and run again once repaired.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-dead-'));
const repaired = join(folder, 'repaired');
process.env.CELERY_BROKER_URL = process.env.CELERY_RESULT_BACKEND = `sqlite:///${join(folder, 'broker.db')}`;
const { Worker } = await import('celeriac/worker');
const { app, thumbnail } = await import('./app.mjs');

const worker = new Worker(app, {
  pool: 'thread',
  concurrency: 1,
  appModule: fileURLToPath(new URL('./app.mjs', import.meta.url)),
});
await worker.start();

const result = await thumbnail.delay(repaired);
const error = await result.get({ timeout: '40s' }).catch((reason) => reason);
console.log(`${error.type}: ${error.message}`);

const { letters } = await app.deadLetters.list();
for (const { id, task, queue, reason } of letters) console.log(`dead: ${task}[${id}] from ${queue}: ${reason}`);

writeFileSync(repaired, '');
console.log('sent again:', await app.deadLetters.retry({ ids: [result.id] }));
// Each time a new handle: one that has seen how a task ended does not ask again.
const state = () => app.result(result.id).state();
for (let i = 0; i < 100 && (await state()) !== 'SUCCESS'; i++) await new Promise((resolve) => setTimeout(resolve, 100));
const ended = await state();
console.log(ended);

await worker.stop();
await app.close();
rmSync(folder, { recursive: true });
process.exitCode = letters.length === 1 && error.type === 'WorkerLostError' && ended === 'SUCCESS' ? 0 : 1;
