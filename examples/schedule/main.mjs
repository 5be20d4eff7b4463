// A schedule changed while a beat runs: an entry is added, paused, asked for once, and removed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Celery } from 'celeriac';
import { Beat, openSchedule } from 'celeriac/beat';
import { Worker } from 'celeriac/worker';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-schedule-'));
const url = `sqlite:///${join(folder, 'broker.db')}`;
const app = new Celery({ broker: url, backend: url, beatScheduleFilename: join(folder, 'schedule') });

let seen = 0;
let heard = () => {};
const greet = app.task('greet', (name) => {
  console.log(`hello ${String(name)}`, ++seen);
  heard();
});
const until = (count) =>
  new Promise((resolve) => {
    heard = () => void (seen >= count && resolve());
    heard();
  });

const worker = new Worker(app);
await worker.start();
const stop = new AbortController();
const beat = new Beat(app).run({ signal: stop.signal });

const schedule = await openSchedule(app);
await schedule.add('greeting', { task: greet.name, schedule: '500ms', args: ['world'] });
await until(2);
await schedule.pause('greeting');
const before = seen;
await schedule.runNow('greeting');
await until(before + 1);
await schedule.remove('greeting');
const left = (await schedule.list()).map(({ name }) => name);
console.log('left:', left.join(', '));

stop.abort();
await beat;
await schedule.close();
await worker.stop();
await app.close();
rmSync(folder, { recursive: true });
process.exitCode = seen >= 3 && !left.includes('greeting') ? 0 : 1;
