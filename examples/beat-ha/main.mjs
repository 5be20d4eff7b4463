// Two beats share a schedule: they elect one, and the other takes over when it ends.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Celery, every } from 'celeriac';
import { Beat } from 'celeriac/beat';
import { Worker } from 'celeriac/worker';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-beats-'));
const url = `sqlite:///${join(folder, 'broker.db')}`; // redis://… for beats on several machines
const app = new Celery({ broker: url, backend: url, beatScheduler: 'shared', beatLease: '3s' });

let runs = 0;
let heard = () => {};
const tick = app.task('tick', () => {
  console.log('tick', ++runs);
  heard();
});
app.addPeriodicTask('often', every('200ms'), tick.s());
const until = (count) =>
  new Promise((resolve) => {
    heard = () => void (runs >= count && resolve());
  });

const worker = new Worker(app);
await worker.start();
const stops = [new AbortController(), new AbortController()];
const beats = stops.map(({ signal }) => new Beat(app).run({ signal }));
await until(3);
stops[0].abort();
await beats[0];
console.log('one beat has ended');
await until(runs + 3);
stops[1].abort();
await beats[1];

await worker.stop();
await app.close();
rmSync(folder, { recursive: true });
process.exitCode = runs >= 6 ? 0 : 1;
