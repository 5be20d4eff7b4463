// Later, not before a moment, and not after one: what is due far away waits in the broker, not in the worker.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://', etaHorizon: 0.2 });
const remind = app.task('remind', (/** @type {string} */ about) => `${about} at ${Date.now()}`);

const worker = new Worker(app, { hostname: 'w1@example' });
await worker.start();
const began = Date.now();
const soon = await remind.applyAsync(['tea'], { countdown: '100ms' });
const later = await remind.applyAsync(['cake'], { eta: new Date(began + 600) });
const never = await remind.applyAsync(['news'], { countdown: '300ms', expires: '50ms' });

const tea = await soon.get({ timeout: '10s' });
const cake = await later.get({ timeout: '10s' });
const news = await never.get({ timeout: '10s' }).catch((error) => error);
console.log(`${tea}, ${cake} (it is ${began} at first), ${news.code}: ${news.message}`);
const early = Number(tea.split(' ').at(-1)) - began < 100 || Number(cake.split(' ').at(-1)) - began < 600;

await worker.stop();
await app.close();
process.exitCode = !early && news.code === 'ERR_TASK_REVOKED' ? 0 : 1;
