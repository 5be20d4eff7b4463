// Which queue a task goes to: by name, by pattern, by a function of your own, and for one call alone.
import { Celery, exchange, queue } from 'celeriac';
import { Worker } from 'celeriac/worker';

const media = exchange('media', { type: 'topic' });
const app = new Celery({
  broker: 'memory://',
  backend: 'memory://',
  taskQueues: [
    queue('celery'),
    queue('mail'),
    queue('europe'),
    queue('video', { exchange: media, routingKey: 'media.video.#' }),
  ],
  taskRoutes: [
    (name, args) => (args[0]?.region === 'eu' ? { queue: 'europe' } : null),
    { 'mail.*': 'mail', 'video.encode': { exchange: 'media', routingKey: 'media.video.mp4' } },
  ],
});
const where = (ctx, ..._order) => ctx.request.deliveryInfo.routingKey;
const tasks = ['mail.send', 'video.encode', 'shop.order'].map((name) => app.task(name, { bind: true }, where));
const [mail, video, order] = tasks;

const worker = new Worker(app);
await worker.start();
const results = await Promise.all([
  mail.delay(),
  video.delay(),
  order.delay({ region: 'eu' }),
  order.delay({ region: 'us' }),
  order.applyAsync([{ region: 'us' }], { queue: 'mail' }),
]);
const keys = await Promise.all(results.map((result) => result.get({ timeout: '10s' })));
console.log(keys.join(', '));

await worker.stop();
await app.close();
process.exitCode = keys.join() === 'mail,media.video.mp4,europe,celery,mail' ? 0 : 1;
