import { appendFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { Celery, type CeleryError, type CeleryOptions } from '../../src/index.ts';
import { silentLogger, type Logger } from '../../src/runtime/logger.ts';
import { Worker } from '../../src/worker/index.ts';

/*
 * Our side of a mixed fleet, as a process of its own: `node --import tsx interop-worker.ts '{"broker": …}'`.
 */

interface Arguments {
  readonly broker: string;
  readonly backend: string;
  readonly ledger: string;
  readonly name: string;
  readonly concurrency: number;
  readonly prefetchMultiplier?: number;
  readonly transportOptions?: Readonly<Record<string, unknown>>;
  readonly settings?: CeleryOptions;
}

const options = JSON.parse(process.argv[2] as string) as Arguments;
const { broker, backend, ledger, name, concurrency, prefetchMultiplier } = options;
/** Errors with a code are told on standard output: `lease-lost <task id>`; so is why a signal aborted: `signal <task id> <code>`. */
const log: Logger = {
  ...silentLogger,
  error: ({ code, taskId }) => {
    if (typeof code === 'string' && typeof taskId === 'string') console.log(`${code} ${taskId}`);
  },
  child: () => log,
};
const app = new Celery({
  broker,
  backend,
  log,
  resultExtended: true,
  brokerTransportOptions: options.transportOptions ?? { visibility_timeout: 5 },
  ...options.settings,
});
app.task('shared.record', async (id: string, milliseconds: number) => {
  appendFileSync(ledger, `${id} ${process.pid} start\n`);
  await wait(milliseconds);
  appendFileSync(ledger, `${id} ${process.pid} end\n`);
});
/** Tells how late it starts, in its own id. */
app.task('shared.due', { ignoreResult: true }, (dueMs: number) => {
  appendFileSync(ledger, `late:${Date.now() - dueMs} ${process.pid} start\n`);
});
/** On one of the workers it runs until its signal aborts, which it tells; on others it ends. */
app.task('shared.listen', { bind: true }, async (ctx, id: string, where: string) => {
  appendFileSync(ledger, `${id} ${process.pid} start\n`);
  if (ctx.request.hostname === where) {
    await wait(600_000, undefined, { signal: ctx.signal }).catch(() => {});
    const { code, message } = ctx.signal.reason as CeleryError;
    console.log(`signal ${ctx.request.id} ${code} ${message}`);
    return;
  }
  appendFileSync(ledger, `${id} ${process.pid} end\n`);
});
const worker = new Worker(app, { hostname: name, concurrency, prefetchMultiplier });
await worker.start();
console.log('ready');
process.on('SIGTERM', () => {
  void worker.stop('warm').then(() => app.close());
});
