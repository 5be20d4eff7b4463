// One call, every worker: a broadcast queue. Here two apps stand for two machines.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { broadcast, Celery, queue } from 'celeriac';
import { Worker } from 'celeriac/worker';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-broadcast-'));
const url = `sqlite:///${join(folder, 'broker.db')}`; // the same with amqp:// and redis://

const reloaded = [];
const machines = ['one', 'two'].map((name) => {
  const app = new Celery({ broker: url, backend: url, taskQueues: [queue('celery'), broadcast('reload')] });
  app.task('config.reload', { ignoreResult: true }, () => void reloaded.push(name));
  return { app, worker: new Worker(app, { hostname: `${name}@example`, concurrency: 1 }) };
});
for (const { worker } of machines) await worker.start();

await machines[0].app.send('config.reload', [], { queue: 'reload' });
while (reloaded.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
console.log('reloaded on', reloaded.length, 'machines');

for (const { app, worker } of machines) {
  await worker.stop();
  await app.close();
}
rmSync(folder, { recursive: true });
