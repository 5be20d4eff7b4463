import { isMainThread } from 'node:worker_threads';
import { UsageError } from '../errors.ts';
import type { Logger } from './logger.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Opens Node's inspector, on a free port unless `CELERY_RDB_PORT` names one, on `CELERY_RDB_HOST` (127.0.0.1).
 * Whoever can reach the port controls the process.
 * @returns the address for `node inspect`, Chromium's `chrome://inspect` and editors: `127.0.0.1:41729`
 * @throws {UsageError} in a thread, which has no inspector of its own, and for a port that cannot be had
 */
export async function openInspector(env: Environment, log: Logger): Promise<string> {
  if (!isMainThread) throw new UsageError('a thread cannot be debugged by itself: use the pool "process" or "async"');
  const inspector = await import('node:inspector');
  const open = inspector.url();
  if (open === undefined) {
    const port = Number(env['CELERY_RDB_PORT'] ?? 0);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new UsageError(`CELERY_RDB_PORT: expected a port, got "${env['CELERY_RDB_PORT']}"`);
    }
    inspector.open(port, env['CELERY_RDB_HOST'] ?? '127.0.0.1', false);
  }
  const url = inspector.url();
  if (url === undefined) throw new UsageError('the inspector could not be opened: is its port taken?');
  const address = new URL(url).host;
  log.warn({ address, pid: process.pid }, `debugger listens on ${address}: node inspect ${address}`);
  return address;
}

/**
 * Stops here until a debugger is attached, and pauses in it. Meanwhile nothing else of this process runs. The inspector
 * stays open: the next time it pauses only while a debugger is attached, because waiting for one that is would never end.
 * @throws {UsageError} in a thread, which has no inspector of its own
 */
export async function pauseForDebugger(env: Environment, log: Logger): Promise<void> {
  const inspector = await import('node:inspector');
  const first = inspector.url() === undefined;
  await openInspector(env, log);
  // What says where to attach has to leave this process first.
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  if (first) inspector.waitForDebugger();
  // oxlint-disable-next-line no-debugger -- what this function is for; step out of it to reach the task
  debugger;
}
