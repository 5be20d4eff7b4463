import { fileURLToPath } from 'node:url';
import { setTimeout as wait } from 'node:timers/promises';
import { seededRandom } from '../../src/runtime/random.ts';
import { Worker } from '../../src/worker/index.ts';
import { app } from './pool-app.ts';

/*
 * A worker whose children are killed at random moments, and that is to be killed itself.
 * `node --import tsx pool-worker.ts POOL KILL_EVERY_MS`
 */

const [pool = 'process', every = '0'] = process.argv.slice(2);
const appModule = fileURLToPath(new URL('./pool-app.ts', import.meta.url));
const worker = new Worker(app, { pool, concurrency: 3, slots: 2, appModule, hostname: `chaos${process.pid}@here` });
await worker.start();
console.log('ready');
const random = seededRandom(process.pid);
while (Number(every) > 0) {
  await wait(random.next() * 2 * Number(every));
  const { processes } = worker;
  // The oldest: one that has just been started would never get to run anything.
  const victim = processes[0];
  if (victim === undefined || processes.length < 3) continue;
  process.kill(victim, 'SIGKILL');
  console.log(`killed ${victim}`);
}
