import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { Celery } from '../../src/index.ts';

/*
 * What the real `celeriac worker` of signals.test.ts runs. Lines of the file name what tasks do: `start <id> <pid>`,
 * `end <id> <pid>`, `signal <id> <reason>`. A task ends when the file `<file>.<id>` is there.
 */

const file = process.env['SIGNALS_FILE'] ?? '/dev/null';
const note = (...words: readonly unknown[]): void => appendFileSync(file, `${words.join(' ')}\n`);

export const app = new Celery({ main: 'signals' });

async function hold(id: string, signal?: AbortSignal): Promise<void> {
  note('start', id, process.pid);
  while (!existsSync(`${file}.${id}`)) await wait(20, undefined, signal && { signal });
  note('end', id, process.pid);
}

/** Does not listen to its signal. */
app.task('hold', (id: string) => hold(id));
app.task('early', { acksLate: false }, (id: string) => hold(id));
app.task('listen', { bind: true }, (ctx, id: string) => {
  ctx.signal.addEventListener('abort', () => note('signal', id, (ctx.signal.reason as Error).name));
  return hold(id, ctx.signal);
});
/** Sends another task while its worker drains. */
app.task('sends', async (id: string) => {
  await hold(id);
  await app.send('hold', [`${id}-child`], { queue: 'later' });
});
