import { createServer } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { Celery } from '../../src/index.ts';
import { Ledger } from '../support/ledger.ts';

/*
 * What the workers of `fleet.ts` run. Tasks note when they begin and when they end.
 */

export type Work = (id: string, ms: number, text?: string) => number;
export type Note = (id: string) => void;
export type Parent = (id: string, ms: number, children: number) => number;

export const app = new Celery({ main: 'fleet' });
const ledger = new Ledger(process.env['CHAOS_LEDGER'] ?? '/dev/null');

async function noted<T>(id: string, work: () => T | Promise<T>): Promise<T> {
  ledger.write(id, 'start');
  const value = await work();
  ledger.write(id, 'end');
  return value;
}

app.task('work', (id: string, ms: number, text?: string) => noted(id, () => wait(ms, text?.length ?? 0)));
app.task('fails', (id: string) =>
  noted(id, () => {
    throw new RangeError(id);
  }),
);
app.task('again', { bind: true, maxRetries: 3 }, (ctx, id: string) => {
  if (ctx.retries === 0) throw ctx.retry({ countdown: '100ms' });
  return noted(id, () => ctx.retries);
});
/** Holds the event loop. */
app.task('blocks', (id: string, ms: number) =>
  noted(id, () => {
    const until = performance.now() + ms;
    while (performance.now() < until);
    return process.pid;
  }),
);
/** Waits for an answer that never comes, and gives up when it is told to. */
app.task('fetches', { bind: true }, async (ctx, id: string) => {
  const server = createServer(() => {})
    .listen(0, '127.0.0.1')
    .unref();
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  return noted(id, () => fetch(`http://127.0.0.1:${port}/`, { signal: ctx.signal }).finally(() => server.close()));
});
/** Does not listen. */
app.task('ignores', (id: string, ms: number) => noted(id, () => wait(ms)));
app.task('aborts', (id: string) =>
  noted(id, () => {
    // A thread cannot abort; what it can do ends the whole worker too.
    process.kill(process.pid, 'SIGABRT');
    for (;;);
  }),
);
/** Ends with the heap it is allowed. */
app.task('hogs', (id: string) =>
  noted(id, () => {
    const kept: string[][] = [];
    for (;;) kept.push(Array.from({ length: 10_000 }, (_, i) => `${kept.length} ${i}`));
  }),
);
/** Sends while its worker may be on its way out. */
app.task('parent', (id: string, ms: number, children: number) =>
  noted(id, async () => {
    await wait(ms);
    const sent = Array.from({ length: children }, (_, i) => app.send('work', [`${id}-${i}`, 1], { queue: 'children' }));
    return (await Promise.all(sent)).length;
  }),
);
app.task('noteError', (...args: unknown[]) => {
  ledger.write(`error:${String(args.at(-1))}`, 'end');
});
