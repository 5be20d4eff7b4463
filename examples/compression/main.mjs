// Large arguments travel compressed; every worker, Python's too, knows how from the message.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://', taskCompression: 'gzip' });
const sizes = [];
const count = app.task('text.count', (text) => text.length);

app.on('afterPublish', ({ headers }) => void sizes.push(headers.compression ?? 'none'));
const worker = new Worker(app);
await worker.start();
const text = 'the same again and again '.repeat(10_000);
const lengths = [];
for (const compression of [undefined, 'bzip2', 'brotli']) {
  const result = await count.applyAsync([text], compression === undefined ? {} : { compression });
  lengths.push(await result.get({ timeout: '10s' }));
}
console.log(lengths.join(', '), sizes.join(', '));

await worker.stop();
await app.close();
process.exitCode = lengths.every((length) => length === text.length) && sizes.length === 3 ? 0 : 1;
