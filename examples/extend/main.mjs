// Options for many tasks at once: a base that tasks are made from, and annotations in the settings.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({
  broker: 'memory://',
  backend: 'memory://',
  taskAnnotations: { 'mail.send': { rateLimit: '100/s' }, '*': { trackStarted: true } },
});
const told = [];
const careful = app.task.extend({ maxRetries: 9, hooks: { onSuccess: (value) => void told.push(value) } });
const send = careful('mail.send', (/** @type {string} */ to) => `sent to ${to}`);
const urgent = careful.extend({ priority: 0 })('mail.urgent', (/** @type {string} */ to) => `rushed to ${to}`);

const worker = new Worker(app);
await worker.start();
await (await send.delay('ann')).get({ timeout: '10s' });
await (await urgent.delay('bob')).get({ timeout: '10s' });
const { options } = app.tasks.get('mail.send');
console.log(told.join(', '), '|', options.maxRetries, options.rateLimit, options.trackStarted);

await worker.stop();
await app.close();
process.exitCode = told.length === 2 && options.maxRetries === 9 && options.rateLimit === '100/s' ? 0 : 1;
