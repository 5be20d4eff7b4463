import { Celery, queue } from '../../src/index.ts';
import { consumerStep } from '../../src/worker/index.ts';

export const app = new Celery({ broker: 'memory://', backend: 'memory://' });

app.userOptions.worker.add({ flags: '-z, --cache-size <n>', help: 'entries to keep', parse: Number, default: '10' });

app.userOptions.beat.add({ flags: '--region <name>', help: 'whose schedule', default: 'eu' });
app.userOptions.preload.add({ flags: '-Z, --template <name>', help: 'settings to start from', default: 'plain' });
app.on('userPreloadOptions', ({ sender, options }) => process.emit('told', sender, options));
app.on('beatInit', ({ sender, options }) => app.log.info({}, `beat of ${sender} in ${String(options.region)}`));
app.on('beatEmbeddedInit', ({ sender, options }) =>
  app.log.info({}, `embedded in ${sender}, ${String(options.cacheSize)}`),
);

app.steps.worker.add({
  name: 'cache',
  start: ({ options, log }) => log.info({}, `cache of ${String(options.cacheSize)}`),
});
app.steps.worker.add(consumerStep({ name: 'orders', queues: queue('orders'), onMessage: (message) => message.ack() }));
app.steps.consumer.add({ name: 'greeting', requires: ['tasks'] });

export const agent = {
  name: 'agent',
  start: ({ hostname, log }) => log.info({}, `agent of ${hostname}`),
  stop: ({ log }) => log.info({}, 'agent leaves'),
};
export class Agent {
  name = 'agent';
  start({ hostname, log }) {
    log.info({}, `Agent of ${hostname}`);
  }
  stop({ log }) {
    log.info({}, 'Agent leaves');
  }
}
