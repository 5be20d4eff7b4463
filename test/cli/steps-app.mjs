import { Celery, queue } from '../../src/index.ts';
import { consumerStep } from '../../src/worker/index.ts';

export const app = new Celery({ broker: 'memory://', backend: 'memory://' });

app.userOptions.worker.add({ flags: '-z, --cache-size <n>', help: 'entries to keep', parse: Number, default: '10' });

app.steps.worker.add({
  name: 'cache',
  start: ({ options, log }) => log.info({}, `cache of ${String(options.cacheSize)}`),
});
app.steps.worker.add(consumerStep({ name: 'orders', queues: queue('orders'), onMessage: (message) => message.ack() }));
app.steps.consumer.add({ name: 'greeting', requires: ['tasks'] });
