// A running task that is asked to end (abortable), and one whose run is ended whatever it does (revoke with terminate).
import { setTimeout as wait } from 'node:timers/promises';
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const begun = [];
const search = app.task('search', { bind: true, abortable: true }, async (ctx) => {
  begun.push('search');
  for (let looked = 0; ; looked++) {
    if (ctx.signal.aborted) return `gave up after ${looked > 0 ? 'some' : 'no'} time`;
    await wait(10);
  }
});
const nap = app.task('nap', { bind: true }, (ctx) => {
  begun.push('nap');
  return wait(60_000, undefined, { signal: ctx.signal });
});

const worker = new Worker(app, { concurrency: 4 });
await worker.start();
const searching = await search.delay();
const napping = await nap.delay();
while (begun.length < 2) await wait(5);
await wait(50);
await searching.abort();
await napping.revoke({ terminate: true });
const gaveUp = await searching.get({ timeout: '10s' }).catch((error) => error);
const ended = await napping.get({ timeout: '10s' }).catch((error) => error);
console.log(gaveUp, '|', ended.code, ended.message);

await worker.stop();
await app.close();
process.exitCode = ended.code === 'ERR_TASK_REVOKED' ? 0 : 1;
