// Tasks that wait in the wrong place: to another queue, and to another broker.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const old = new Celery({ broker: 'memory://', backend: 'memory://' });
const fresh = new Celery({ broker: 'memory://', backend: await old.backend() });
for (const n of [1, 2, 3]) await old.send('video.encode', [n]);
const mail = await old.send('mail.send', ['ann']);

const slow = await old.moveTasks({ tasks: ['video.encode'], to: 'slow' });
const moved = await old.moveTasks({ queues: ['celery'], to: ({ queue }) => queue, destination: fresh });
console.log(`${slow.moved} to the slow queue, ${moved.moved} to the new broker`);

fresh.task('mail.send', (/** @type {string} */ to) => `sent to ${to}`);
const worker = new Worker(fresh);
await worker.start();
const text = await fresh.result(mail.id).get({ timeout: '10s' });
console.log(text);

await worker.stop();
await fresh.close();
await old.close();
process.exitCode = slow.moved === 3 && moved.moved === 1 && text === 'sent to ann' ? 0 : 1;
