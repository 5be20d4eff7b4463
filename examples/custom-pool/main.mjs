// A pool of one's own: it passes the contract that the library's pools pass, and a worker runs tasks with it.
import { Celery } from 'celeriac';
import { poolContract, poolContractApp } from 'celeriac/testing';
import { Worker } from 'celeriac/worker';
import { KeyedPool } from './pool.mjs';

// Any test runner has these two; here everything is just run.
const tests = [];
const runner = { describe: (_, body) => body(), test: (name, body) => void tests.push([name, body]) };
poolContract(runner, 'keyed', async () => {
  const app = poolContractApp();
  return { app, pool: new KeyedPool(app, { concurrency: 2 }), dispose: async () => {} };
});
for (const [name, body] of tests) {
  await body();
  console.log(`ok  ${name}`);
}

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const busy = new Map();
let most = 0;
const charge = app.task('account.charge', async (account, ms) => {
  busy.set(account, (busy.get(account) ?? 0) + 1);
  most = Math.max(most, busy.get(account));
  await new Promise((resolve) => setTimeout(resolve, ms));
  busy.set(account, busy.get(account) - 1);
});
const worker = new Worker(app, { pool: (...given) => new KeyedPool(...given), concurrency: 8 });
await worker.start();
const results = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => charge.delay(n % 2 ? 'ann' : 'bob', 20)));
await Promise.all(results.map((result) => result.get({ timeout: '10s' })));
console.log(`charges of one account at a time: ${most}`);
await worker.stop();
await app.close();
process.exitCode = tests.length > 10 && most === 1 ? 0 : 1;
