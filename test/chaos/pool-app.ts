import { setTimeout as wait } from 'node:timers/promises';
import { Celery } from '../../src/index.ts';
import { Ledger } from '../support/ledger.ts';

/* What children of the chaos tests run: every run notes its beginning and its end. */

export const app = new Celery({ main: 'chaos', maxDeliveries: null });
const ledger = new Ledger(process.env['CHAOS_LEDGER'] ?? '/dev/null');
app.task('work', { ignoreResult: true }, async (id: string) => {
  ledger.write(id, 'start');
  await wait(20);
  ledger.write(id, 'end');
});
