// Ask a worker whether it is well, and read its metrics as Prometheus would.
import { Celery } from 'celeriac';
import { measure } from 'celeriac/prometheus';
import { HealthServer, Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const add = app.task('math.add', (/** @type {number} */ x, /** @type {number} */ y) => x + y);

const worker = new Worker(app, { hostname: 'w1@example' });
const metrics = await measure(worker);
const health = new HealthServer(worker, { listen: '127.0.0.1:0', metrics: () => metrics.page() });
await health.start();
const before = await fetch(`http://${health.address}/ready`);
await worker.start();
const after = await fetch(`http://${health.address}/ready`);
console.log('ready:', before.status, 'then', after.status);

await (await add.delay(2, 3)).get({ timeout: '10s' });
await worker.stop();
const page = await (await fetch(`http://${health.address}/metrics`)).text();
const counted = page.split('\n').filter((line) => line.startsWith('celeriac_tasks_total'));
console.log(counted.join('\n'));

metrics.stop();
await health.close();
await app.close();
process.exitCode = before.status === 503 && after.status === 200 && counted[0]?.endsWith(' 1') ? 0 : 1;
