// Look at a worker while it runs, revoke a task that waits, watch the worker stop in order.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const later = app.task('mail.send', (/** @type {string} */ to) => `sent to ${to}`);

const worker = new Worker(app, { hostname: 'w1@example', concurrency: 4 });
await worker.start();

const result = await later.applyAsync(['ann@example.org'], { countdown: '10s' });
const scheduled = await app.control.inspect({ timeout: '500ms' }).scheduled();
console.log(
  'scheduled:',
  scheduled['w1@example'].map(({ request }) => request.id),
);
await app.control.revoke(result.id);
const error = await result.get({ timeout: '10s' }).catch((failure) => failure);
console.log(`${error.code}: ${error.message}`);

await worker.stop();
await app.close();
process.exitCode = scheduled['w1@example'].length === 1 && error.code === 'ERR_TASK_REVOKED' ? 0 : 1;
