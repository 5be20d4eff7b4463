import { Beat, openStore } from '../../src/beat/index.ts';
import { Celery } from '../../src/index.ts';
import type { Logger } from '../../src/runtime/logger.ts';

/** One of several beats with one entry, due every 50 ms: `ha-process.ts BROKER STORE`. Logs on stdout. */
const [broker, scheduler] = process.argv.slice(2) as [string, string];
const say = (_fields: unknown, message: string): void => void process.stdout.write(`${message}\n`);
const log: Logger = { debug: () => {}, info: say, warn: say, error: say, fatal: say, child: () => log };
const app = new Celery({
  broker,
  backend: 'disabled://',
  beatScheduler: scheduler,
  beatLease: 2,
  log,
  beatSchedule: { tick: { task: 'math.tick', schedule: 0.05, args: () => [Date.now()] } },
});
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const store = await openStore(app);
process.stdout.write('ready\n');
await new Beat(app, { store }).run({ signal: stop.signal });
await store.close?.();
await app.close();
