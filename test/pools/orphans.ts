import { fileURLToPath } from 'node:url';
import { Worker } from '../../src/worker/index.ts';
import { poolApp } from './app.ts';

/* A worker to be killed, with one child that never yields. `node --import tsx orphans.ts` */

const app = poolApp();
const appModule = fileURLToPath(new URL('./app.ts', import.meta.url));
const worker = new Worker(app, { pool: 'process', concurrency: 2, appModule });
await worker.start();
await app.send('spin', [600_000]);
const timer = setInterval(() => {
  if (worker.active === 0) return;
  clearInterval(timer);
  console.log(`children ${worker.processes.join(' ')}`);
}, 20);
