// A camera: what the cluster looks like, again and again, without reading single events.
import { Celery } from 'celeriac';
import { runCamera } from 'celeriac/events';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const send = app.task('mail.send', (/** @type {string} */ to) => `sent to ${to}`);
const worker = new Worker(app, { hostname: 'w1@example' });
await worker.start();

const stop = new AbortController();
let picture = '';
const running = runCamera(app, {
  every: '100ms',
  onShutter: (state) => {
    const states = [...state.tasks.values()].map((task) => `${task.name} ${task.state}`);
    const workers = [...state.workers.values()].map((one) => one.hostname);
    picture = `${workers.join()}: ${states.join()}`;
  },
  signal: stop.signal,
});
const deadline = Date.now() + 20_000;
while (!picture.includes('SUCCESS') && Date.now() < deadline) {
  await (await send.delay('ann@example.org')).get({ timeout: '10s' });
  await new Promise((resolve) => setTimeout(resolve, 200));
}
console.log(picture);
stop.abort();
await running;
await worker.stop();
await app.close();
process.exitCode = picture.startsWith('w1@example: mail.send SUCCESS') ? 0 : 1;
