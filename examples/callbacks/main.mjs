// Another task with the result, another one with the failure; and an error class of your own on the other side.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

class OutOfStock extends Error {
  name = 'OutOfStock';
}
const app = new Celery({ broker: 'memory://', backend: 'memory://' });
app.registerError('OutOfStock', OutOfStock);
const told = [];
const pack = app.task('shop.pack', (/** @type {string} */ item) => {
  if (item === 'moon') throw new OutOfStock('no moon left');
  return `${item} in a box`;
});
const ship = app.task('shop.ship', (parcel) => void told.push(`shipped: ${String(parcel)}`));
const apologize = app.task(
  'shop.apologize',
  { bind: true },
  (ctx, ...args) => void told.push(`sorry: ${args.length} arguments`),
);

const worker = new Worker(app);
await worker.start();
const options = { link: ship.s(), linkError: apologize.s() };
const packed = await (await pack.applyAsync(['cup'], options)).get({ timeout: '10s' });
const error = await (await pack.applyAsync(['moon'], options)).get({ timeout: '10s' }).catch((failure) => failure);
for (let tries = 0; told.length < 2 && tries < 500; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
console.log(packed, '|', error.name, error.message, '|', told.join(' | '));

await worker.stop();
await app.close();
process.exitCode = error instanceof OutOfStock && told.includes('shipped: cup in a box') && told.length === 2 ? 0 : 1;
