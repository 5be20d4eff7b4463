// Beside its tasks, a worker keeps a step of the app's own and consumes a queue of messages that are no tasks.
import { Celery, queue } from 'celeriac';
import { Connection } from 'celeriac/messaging';
import { consumerStep, Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const told = [];

/** Starts before the pool and stops when no task runs any more, because it requires nothing. */
app.steps.worker.add({
  name: 'prices',
  start: ({ hostname }) => void told.push(`prices loaded for ${hostname}`),
  stop: () => void told.push('prices saved'),
});

let arrived;
const arrival = new Promise((resolve) => (arrived = resolve));
app.steps.worker.add(
  consumerStep({
    name: 'orders',
    queues: queue('orders'),
    onMessage: async (message) => {
      told.push(`order for ${message.payload.pieces}`);
      await message.ack();
      arrived();
    },
  }),
);

const worker = new Worker(app, { hostname: 'w1@example' });
await worker.start();
const shop = new Connection(await app.transport());
await shop.producer().publish({ pieces: 3 }, { routingKey: 'orders' });
await arrival;
await worker.stop();
await shop.close();
await app.close();
console.log(told.join('\n'));
process.exitCode = told.join() === 'prices loaded for w1@example,order for 3,prices saved' ? 0 : 1;
