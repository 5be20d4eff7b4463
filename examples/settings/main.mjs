// Settings of a project in `celery.config.mjs`; arguments checked by a schema before the handler sees them.
import { Celery, CeleryError } from 'celeriac';
import { Worker } from 'celeriac/worker';

process.chdir(import.meta.dirname ?? new URL('.', import.meta.url).pathname);
const app = new Celery({ env: {} });
await app.configFrom(); // celery.config.ts, .js, .mjs, … of the working directory

/** Any Standard Schema will do: zod, valibot, arktype. */
const year = {
  '~standard': {
    version: 1,
    vendor: 'example',
    validate: ([value]) =>
      Number.isInteger(value) && value > 1900 ? { value: [value] } : { issues: [{ message: 'expected a year' }] },
  },
};
const report = app.task('reports.yearly', { args: year, params: ['year'] }, (of) => `report of ${String(of)}`);

const worker = new Worker(app, { queues: ['slow'], concurrency: 2 });
await worker.start();
const good = await (await report.delay(2026)).get({ timeout: '10s' });
const bad = await (await app.send('reports.yearly', ['soon'])).get({ timeout: '10s' }).catch((error) => error);
console.log(good, '|', app.conf.resultExpires, 's |', bad.message);

await worker.stop();
await app.close();
process.exitCode = good === 'report of 2026' && app.conf.resultExpires === 7200 && CeleryError.is(bad) ? 0 : 1;
