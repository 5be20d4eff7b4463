import { Celery } from '../../src/index.ts';

/* Sends calls, reads no result, and prints its memory after a tenth of them and at the end: `soak-client.ts <url> <calls>`. */

const [, , url = '', calls = '0'] = process.argv;
const n = Number(calls);
const app = new Celery({ broker: url, backend: url, env: {} });
const residentMb = (): number => process.memoryUsage.rss() / 2 ** 20;
let first = 0;
for (let low = 0; low < n; low += 100) {
  await Promise.all(Array.from({ length: 100 }, (_, i) => app.send('work', [`c${low + i}`, 1])));
  if (low === Math.floor(n / 1000) * 100) first = residentMb();
  // Nobody takes them: the server need not keep a million.
  if (low % 10_000 === 0) {
    await using connection = await (await app.transport()).connect();
    await (await connection.channel()).purge('celery');
  }
}
console.log(JSON.stringify({ first, last: residentMb() }));
await app.close();
