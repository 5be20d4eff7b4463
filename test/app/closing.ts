import { Celery } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';

/* Runs one task on the broker that the argument names, closes everything, and does not say `process.exit()`. */

const url = process.argv[2] as string;
const app = new Celery({ broker: url, backend: url.startsWith('amqp') ? 'rpc://' : url, env: {} });
const add = app.task('closing.add', (x: number, y: number) => x + y);
const worker = new Worker(app, { hostname: 'closing@test', concurrency: 1 });
await worker.start();
const value = await (await add.delay(1, 2)).get({ timeout: '20s' });
await worker.stop('warm');
await app.close();
console.log(`closed ${value}`);
