import { Beat, FileStore } from '../../src/beat/index.ts';
import { Celery } from '../../src/index.ts';

/** A beat with one entry, due every 50 ms: `process.ts BROKER FILE`. */
const [broker, file] = process.argv.slice(2) as [string, string];
const app = new Celery({
  broker,
  backend: 'disabled://',
  beatSchedule: { tick: { task: 'math.tick', schedule: 0.05 } },
});
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const beat = new Beat(app, { store: new FileStore(file, app.log) });
process.stdout.write('ready\n');
await beat.run({ signal: stop.signal });
await app.close();
