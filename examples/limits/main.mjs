// Limits of time and rate: a task that notices its soft limit, one that is given up at its hard limit, one that may not
// run more often than ten times a second.
import { setTimeout as wait } from 'node:timers/promises';
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const careful = app.task('report.careful', { bind: true, softTimeLimit: '100ms' }, async (ctx) => {
  try {
    await wait(60_000, undefined, { signal: ctx.signal });
    return 'everything';
  } catch {
    return `what there was: ${ctx.signal.reason.name}`;
  }
});
const stubborn = app.task('report.stubborn', { timeLimit: '200ms' }, () => wait(60_000, undefined, { ref: false }));
const starts = [];
const slow = app.task('api.call', { rateLimit: '10/s' }, () => void starts.push(performance.now()));

const worker = new Worker(app, { concurrency: 8 });
await worker.start();
const partial = await (await careful.delay()).get({ timeout: '10s' });
console.log(partial);
const error = await (await stubborn.delay()).get({ timeout: '10s' }).catch((failure) => failure);
console.log(`${error.type}: ${error.message}`);
const calls = await Promise.all(Array.from({ length: 6 }, () => slow.delay()));
await Promise.all(calls.map((call) => call.get({ timeout: '10s' })));
const took = starts.at(-1) - starts[0];
console.log(`6 calls within ${Math.round(took)} ms`);

await worker.stop();
await app.close();
process.exitCode =
  partial.endsWith('SoftTimeLimitExceeded') && error.type === 'TimeLimitExceeded' && took > 400 ? 0 : 1;
