/* A workflow with a plan, stamps, a replaced member and a streamed header. */
import { Celery, chain, chord } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const half = app.task('half', (n) => n / 2);
const total = app.task('total', (values) => values.reduce((sum, one) => sum + one, 0));
const quarter = app.task('quarter', { bind: true }, async (ctx, n) => {
  throw await ctx.replace(chain(half.s(n), half.s()));
});

const worker = new Worker(app);
await worker.start();

const canvas = chord([half.s(4), quarter.s(8)], total.s());
console.log(String(await app.plan(canvas)));
const result = await canvas.stamp({ tenant: 'acme' }).delay();
const four = await result.get({ timeout: '10s' });
console.log('2 + 2 =', four);

const numbers = Array.from({ length: 1000 }, (_, n) => n);
const streamed = await app.streamGroup(
  numbers.map((n) => half.s(n)),
  { body: total.s() },
);
console.log(`half of everything below ${streamed.size}:`, await streamed.body.get({ timeout: '30s' }));

await worker.stop();
await app.close();
process.exitCode = four === 4 ? 0 : 1;
