// One worker process: `node worker.mjs URL NAME`.
import { Worker } from 'celeriac/worker';
import { createApp } from './app.mjs';

const [url, hostname] = process.argv.slice(2);
const { app } = createApp(url);
const worker = new Worker(app, { hostname, concurrency: 8 });
await worker.start();
process.send('ready');
process.once('disconnect', () => process.exit(0)); // the demo is gone: nobody would stop this process
async function stop() {
  await worker.stop('warm');
  await app.close();
  process.disconnect?.(); // the channel to the parent would keep this process alive
}
process.once('SIGTERM', () => void stop());
