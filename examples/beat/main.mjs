// Periodic work: a beat sends a task twice a second, a worker runs it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Celery, crontab, every } from 'celeriac';
import { Beat, FileStore } from 'celeriac/beat';
import { Worker } from 'celeriac/worker';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-beat-'));
const url = `sqlite:///${join(folder, 'broker.db')}`;
const app = new Celery({ broker: url, backend: url });

const stop = new AbortController();
let beats = 0;
const tick = app.task('clock.tick', (word) => {
  console.log(word, ++beats);
  if (beats === 3) stop.abort();
});
app.addPeriodicTask('often', every('500ms'), tick.s('tick'));
app.addPeriodicTask('nightly', crontab({ hour: 3, minute: 0, timezone: 'Europe/Paris' }), tick.s('tock'));

const worker = new Worker(app);
await worker.start();
await new Beat(app, { store: new FileStore(join(folder, 'schedule.json'), app.log) }).run({ signal: stop.signal });
await worker.stop();
await app.close();
rmSync(folder, { recursive: true });
process.exitCode = beats === 3 ? 0 : 1;
