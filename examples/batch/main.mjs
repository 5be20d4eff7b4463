// Many calls with one wait, into a queue that the call itself declares; expiry and priority for each.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-batch-'));
const url = `sqlite:///${join(folder, 'broker.db')}`;
const app = new Celery({ broker: url, backend: url });
app.task('math.square', (x) => x * x);

const handles = await app.batch(async (batch) => {
  for (let x = 1; x <= 1000; x++)
    await batch.send('math.square', [x], { queue: 'squares', expires: '1h', priority: 3 });
});

const worker = new Worker(app, { queues: ['squares'], concurrency: 20 });
await worker.start();
const squares = await Promise.all(handles.map((handle) => handle.get({ timeout: '30s' })));
const total = squares.reduce((sum, square) => sum + square, 0);
console.log(`the squares of 1 to 1000 sum up to ${String(total)}`);

await worker.stop();
await app.close();
rmSync(folder, { recursive: true });
process.exitCode = total === (1000 * 1001 * 2001) / 6 ? 0 : 1;
