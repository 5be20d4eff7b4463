import { appendFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { Celery } from '../../src/index.ts';
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
}

const { broker, backend, ledger, name, concurrency } = JSON.parse(process.argv[2] as string) as Arguments;
const app = new Celery({ broker, backend, brokerTransportOptions: { visibility_timeout: 5 } });
app.task('shared.record', async (id: string, milliseconds: number) => {
  appendFileSync(ledger, `${id} ${process.pid} start\n`);
  await wait(milliseconds);
  appendFileSync(ledger, `${id} ${process.pid} end\n`);
});
const worker = new Worker(app, { hostname: name, concurrency });
await worker.start();
console.log('ready');
process.on('SIGTERM', () => {
  void worker.stop('warm').then(() => app.close());
});
