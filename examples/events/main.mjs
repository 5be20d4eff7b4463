// Watch a worker: its events as they come, and the state of workers and tasks that they add up to.
import { Celery } from 'celeriac';
import { ClusterState } from 'celeriac/events';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const fail = app.task('mail.send', (/** @type {string} */ to) => {
  throw new Error(`${to} does not exist`);
});

const state = new ClusterState({ onNodeJoin: ({ hostname }) => console.log('joined:', hostname) });
const events = app.events({ signal: AbortSignal.timeout(20_000) });
await events.ready();

const worker = new Worker(app, { hostname: 'w1@example', taskEvents: true });
await worker.start();
const sent = await fail.delay('ann@example.org');
for await (const event of events) {
  state.apply(event);
  if (event.type === 'task-failed') break;
}
const task = state.tasks.get(sent.id);
console.log(`${task?.name} ${task?.args} on ${task?.worker?.hostname}: ${task?.state} ${task?.exception}`);

await worker.stop();
await app.close();
process.exitCode = task?.state === 'FAILURE' ? 0 : 1;
