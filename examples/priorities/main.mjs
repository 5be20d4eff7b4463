// What waits longest is not always next: 0 goes first on the embedded broker and Redis, the highest number on RabbitMQ.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const order = [];
const print = app.task('print', (page) => void order.push(page));

const sent = [];
for (const [page, priority] of [
  ['leaflet', 9],
  ['letter', 5],
  ['alarm', 0],
]) {
  sent.push(await print.applyAsync([page], { priority }));
}
const worker = new Worker(app, { concurrency: 1 });
await worker.start();
await Promise.all(sent.map((result) => result.get({ timeout: '10s' })));
console.log(order.join(', '));

await worker.stop();
await app.close();
process.exitCode = order.join() === 'alarm,letter,leaflet' ? 0 : 1;
