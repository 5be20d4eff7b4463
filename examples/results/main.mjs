/* What a task led to: progress of a workflow, its tree of results, values of steps. */
import { Celery, chain, chord, group } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://', resultExtended: true });
const square = app.task('square', (n) => n * n);
const total = app.task('total', (values) => values.reduce((sum, one) => sum + one, 0));
const spread = app.task('spread', (n) => group(Array.from({ length: n }, (_, i) => square.s(i))).delay());

const worker = new Worker(app);
await worker.start();

const numbers = Array.from({ length: 20 }, (_, n) => n);
const sum = await chord(
  numbers.map((n) => square.s(n)),
  total.s(),
).delay();
for await (const { successful, total: all } of sum.progress()) console.log(`${successful} of ${all}`);
console.log('squares up to 19²:', await sum.get({ timeout: '10s' }));

const root = await spread.delay(3);
const leaves = [];
for await (const [, value] of root.collect({ timeout: '10s' })) if (typeof value === 'number') leaves.push(value);
console.log('what spread(3) led to:', leaves);
console.log(String(await root.graph()));

const last = await chain(square.s(2), square.s(), square.s()).delay();
await last.get({ timeout: '10s' });
const steps = await Promise.all(last.parents().map((step) => step.get({ timeout: '10s' })));
console.log('the steps before 256:', steps);

await worker.stop();
await app.close();
process.exitCode = String([await sum.get(), leaves, steps]) === '2470,0,1,4,16,4' ? 0 : 1;
