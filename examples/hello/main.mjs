// Define, send, run, await: on the embedded broker, in one process.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-hello-'));
const url = `sqlite:///${join(folder, 'broker.db')}`;
const app = new Celery({ broker: url, backend: url });
const add = app.task('math.add', (x, y) => x + y);

const worker = new Worker(app, { concurrency: 4 });
await worker.start();

const result = await add.delay(2, 3);
const sum = await result.get({ timeout: '10s' });
console.log(`2 + 3 = ${sum}`);

await worker.stop();
await app.close();
rmSync(folder, { recursive: true });
process.exitCode = sum === 5 ? 0 : 1;
