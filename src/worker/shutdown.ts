import { UsageError } from '../errors.ts';
import { sleep } from '../runtime/clock.ts';
import type { Executor } from './executor.ts';
import type { WorkerParts } from './parts.ts';

/** After a cold stop aborted the tasks' signals, they have this long to end by themselves. */
const COLD_GRACE_MS = 1_000;

/** Reason of `ctx.signal` when the worker shuts down under a running task. */
export class ShutdownAbort extends UsageError {
  constructor() {
    super('the worker shuts down; the task will run again elsewhere');
  }
}

/** Resolves when nothing runs, or when the limit has passed. @param limitMs null: without end */
export async function drained({ app, log }: WorkerParts, executor: Executor, limitMs: number | null): Promise<void> {
  if (limitMs === null) return executor.idle();
  const over = new AbortController();
  const timeout = sleep(app.clock, limitMs, over.signal).then(
    () => log.warn({ running: executor.running.size, limitMs }, 'drain timeout: stopping cold'),
    () => {},
  );
  await Promise.race([executor.idle(), timeout]);
  over.abort();
}

/** Aborts what still runs. Its messages are not settled, so closing the connection returns them. */
export async function cutShort({ app }: WorkerParts, executor: Executor): Promise<void> {
  executor.abandon(new ShutdownAbort());
  const over = new AbortController();
  await Promise.race([executor.idle(), sleep(app.clock, COLD_GRACE_MS, over.signal).catch(() => {})]);
  over.abort();
}
