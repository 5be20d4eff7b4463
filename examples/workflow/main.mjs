// Steps one after the other, and side by side.
import { Celery, chain, group } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const add = app.task('math.add', (x, y) => x + y);
const square = app.task('math.square', (x) => x * x);

const worker = new Worker(app, { concurrency: 4 });
await worker.start();

const chained = await (await chain(add.s(2, 3), add.s(4), square.s()).delay()).get({ timeout: '10s' });
console.log(`(2 + 3 + 4)² = ${chained}`);
const squares = await (await group([1, 2, 3].map((n) => square.s(n))).delay()).get({ timeout: '10s' });
console.log(`squares: ${squares.join(', ')}`);

await worker.stop();
await app.close();
process.exitCode = chained === 81 && String(squares) === '1,4,9' ? 0 : 1;
