// Stop a worker softly: what is quick finishes, what is not hears of it and goes back to its queue for the next worker.
import { setTimeout as wait } from 'node:timers/promises';
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
let deadlineMs = 60_000;
const work = app.task('work', { bind: true }, async (ctx, /** @type {number} */ ms) => {
  ctx.signal.addEventListener('abort', () => console.log('cut short:', ctx.signal.reason.name));
  await wait(Math.min(ms, deadlineMs), undefined, { signal: ctx.signal });
  return 'done';
});

const first = new Worker(app, { hostname: 'first@example', concurrency: 2 });
await first.start();
const quick = await work.delay(50);
const slow = await work.delay(60_000);
while (first.active < 2) await wait(5);
await first.stop('soft', 'deploy', { timeout: '1s' });
console.log('quick:', await quick.get({ timeout: '5s' }));

deadlineMs = 10;
const second = new Worker(app, { hostname: 'second@example', concurrency: 2 });
await second.start();
const value = await slow.get({ timeout: '5s' });
console.log('slow, on the second worker:', value);
await second.stop();
await app.close();
process.exitCode = value === 'done' ? 0 : 1;
