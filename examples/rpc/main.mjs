// Results without a store: they come back as messages over the broker, to the process that sent the task.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-rpc-'));
const broker = `sqlite:///${join(folder, 'broker.db')}`; // the same with amqp://

const server = new Celery({ broker, backend: 'rpc://' });
server.task('math.add', (x, y) => x + y);
const worker = new Worker(server, { concurrency: 2 });
await worker.start();

const client = new Celery({ broker, backend: 'rpc://' });
const handle = await client.send('math.add', [2, 3]);
console.log('the client reads', await handle.get({ timeout: '10s' }));
console.log('somebody else sees', await server.result(handle.id).state());

await client.close();
await worker.stop();
await server.close();
rmSync(folder, { recursive: true });
