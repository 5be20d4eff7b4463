import { ShutdownAbort } from '../errors.ts';
import { sleep, type Clock } from '../runtime/clock.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import type { Executor } from './executor.ts';
import type { StopMode } from './options.ts';
import type { WorkerParts } from './parts.ts';

/** After a cold stop aborted the tasks' signals, they have this long to end by themselves. */
const COLD_GRACE_MS = 1_000;
/** How long the killing and reporting of what did not end may take; then the broker's leases have to do. */
const CANCEL_MS = 5_000;

const MODES: readonly StopMode[] = ['warm', 'soft', 'cold'];

/** How urgent a stop is; it only ever gets more urgent, and the wait for running tasks is cut short by that. */
export class Urgency {
  #mode: StopMode;
  #raised: Deferred<void> = deferred();

  constructor(mode: StopMode) {
    this.#mode = mode;
  }

  get mode(): StopMode {
    return this.#mode;
  }

  /** Resolves when it has become more urgent than now. */
  get raised(): Promise<void> {
    return this.#raised.promise;
  }

  raise(mode: StopMode): void {
    if (MODES.indexOf(mode) <= MODES.indexOf(this.#mode)) return;
    this.#mode = mode;
    this.#raised.resolve();
    this.#raised = deferred();
  }
}

/**
 * Waits for what runs, as long as the urgency of the stop allows.
 * @param patience milliseconds for a mode; null: as long as tasks take
 *
 * Source: `WorkController.wait_for_soft_shutdown`. Differs: the soft phase ends with the last task, and nothing begins in it.
 */
export async function drain(
  { app, log }: WorkerParts,
  executor: Executor,
  urgency: Urgency,
  patience: (mode: StopMode) => number | null,
): Promise<void> {
  while (urgency.mode !== 'cold') {
    const { mode, raised } = urgency;
    const limitMs = patience(mode);
    // An idle worker waits only where it is told to; nothing is gained by it, but some count on it.
    const idles = mode === 'soft' && app.conf.workerEnableSoftShutdownOnIdle;
    if (limitMs === 0 || (executor.isIdle && !idles)) return;
    if (mode === 'soft') {
      log.warn(
        { running: executor.running.size },
        `initiating soft shutdown, terminating in ${Number(limitMs) / 1000} seconds`,
      );
    }
    const over = new AbortController();
    const waits: Promise<'raised' | 'idle' | 'timeout'>[] = [raised.then(() => 'raised')];
    if (!idles) waits.push(executor.idle().then(() => 'idle'));
    if (limitMs !== null) waits.push(timeout(app.clock, limitMs, over.signal));
    const ended = await Promise.race(waits);
    over.abort();
    if (ended === 'raised') continue;
    if (ended === 'timeout' && executor.running.size > 0) {
      log.warn({ running: executor.running.size, limitMs }, 'drain timeout: stopping cold');
    }
    return;
  }
}

function timeout(clock: Clock, limitMs: number, over: AbortSignal): Promise<'timeout'> {
  return sleep(clock, limitMs, over).then(
    () => 'timeout',
    () => 'timeout',
  );
}

/**
 * Aborts what still runs, then ends its code where that is possible. What is not acknowledged goes back: nothing of it
 * is settled, so closing the connection returns it.
 */
export async function cutShort({ app }: WorkerParts, executor: Executor): Promise<void> {
  if (executor.isIdle) return;
  executor.abandon(new ShutdownAbort());
  const within = async (limitMs: number, work: Promise<void>): Promise<void> => {
    const over = new AbortController();
    await Promise.race([work, sleep(app.clock, limitMs, over.signal).catch(() => {})]);
    over.abort();
  };
  await within(COLD_GRACE_MS, executor.idle());
  if (!executor.isIdle) await within(CANCEL_MS, executor.cancelRest());
}
