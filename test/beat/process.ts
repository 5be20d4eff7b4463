import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Beat, openStore } from '../../src/beat/index.ts';
import { Celery, every } from '../../src/index.ts';

/**
 * A beat with one entry that is due every 50 ms, and many that are due once, 200 ms apart: `process.ts BROKER FILE COUNT`.
 * When they begin is decided by the first process, and kept in `<FILE>.begin`.
 */
const [broker, file, count] = process.argv.slice(2) as [string, string, string];
const kept = `${file}.begin`;
const begin = existsSync(kept) ? Number(readFileSync(kept, 'utf8')) : Date.now() + 5000;
writeFileSync(kept, String(begin));
const app = new Celery({ broker, backend: 'disabled://', env: {} });
const run = app.remoteTask<(name: string) => void>('math.run');
app.addPeriodicTask('tick', every('50ms'), run.s('tick'));
for (let i = 0; i < Number(count); i++) {
  const name = `moment-${i}`;
  app.addPeriodicTask(name, every('1d'), run.s(name), { start: new Date(begin + i * 200), maxRuns: 1 });
}
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const store = await openStore(app, { scheduler: 'file', file });
process.stdout.write('ready\n');
await new Beat(app, { store }).run({ signal: stop.signal });
await store.close?.();
await app.close();
