// A task that fails twice, is retried with backoff, and ends well; and one that gives up.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });

class Unavailable extends Error {}
let calls = 0;
const fetchRate = app.task(
  'rates.fetch',
  { autoretryFor: [Unavailable], retryBackoff: '100ms', retryJitter: false, maxRetries: 5 },
  (/** @type {string} */ currency) => {
    calls++;
    if (calls < 3) throw new Unavailable(`${currency}: try again`);
    return 1.08;
  },
);
const hopeless = app.task('rates.hopeless', { bind: true, maxRetries: 1 }, (ctx) => {
  throw ctx.retry({ countdown: '50ms', cause: new RangeError('no such currency') });
});

const worker = new Worker(app, { concurrency: 4 });
await worker.start();

const rate = await (await fetchRate.delay('EUR')).get({ timeout: '10s' });
console.log(`rate ${rate} after ${calls} calls`);
const error = await (await hopeless.delay()).get({ timeout: '10s' }).catch((failure) => failure);
console.log(`gave up: ${error.type}: ${error.message}`);

await worker.stop();
await app.close();
process.exitCode = rate === 1.08 && calls === 3 && error.type === 'RangeError' ? 0 : 1;
