// A task that tells how far it is, and a caller that follows it.
import { setTimeout as wait } from 'node:timers/promises';
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const convert = app.task('video.convert', { bind: true }, async (ctx, /** @type {number} */ frames) => {
  for (let done = 1; done <= frames; done++) {
    await wait(20, undefined, { signal: ctx.signal });
    await ctx.progress(done, frames);
  }
  return `${frames} frames`;
});

const worker = new Worker(app, { concurrency: 2 });
await worker.start();

const result = await convert.delay(5);
const states = [];
for await (const update of result.updates({ signal: AbortSignal.timeout(10_000) })) {
  states.push(update.state === 'CUSTOM' ? update.name : update.state);
  console.log(states.at(-1), JSON.stringify(update.state === 'SUCCESS' ? update.value : (update.meta ?? null)));
}

await worker.stop();
await app.close();
process.exitCode = states.includes('PROGRESS') && states.at(-1) === 'SUCCESS' ? 0 : 1;
