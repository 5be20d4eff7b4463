import { Worker } from 'node:worker_threads';

/*
 * A thread that keeps a lease while a task blocks the event loop which would renew it. It sleeps as long as it hears from
 * the loop; a process that is stopped or dead stops its thread too, so that its lease runs out as it should.
 */

export interface PulseOptions {
  /** Silence of the event loop after which the thread takes over, milliseconds. */
  readonly silentMs: number;
  /** Longest time for which it does; then whoever waits for the lease has it. */
  readonly longestMs: number;
  /** For the code, as `workerData.data`; what can be cloned. */
  readonly data: unknown;
}

export interface Pulse {
  /** The event loop turns, and the lease is this. */
  beat(lease: unknown): void;
  stop(): void;
}

/** CommonJS; the code that follows defines `renew(lease)`, which may return a promise, and `rest()`. */
const PRELUDE = `
const { parentPort, workerData } = require('node:worker_threads');
let heard = performance.now(), lease, busy = false, renewing = false;
parentPort.on('message', (message) => { heard = performance.now(); lease = message; });
setInterval(async () => {
  const silent = performance.now() - heard;
  if (busy) return;
  busy = true;
  try {
    if (lease !== undefined && silent > workerData.silentMs && silent < workerData.longestMs) {
      renewing = true;
      await renew(lease);
    } else if (renewing) {
      renewing = false;
      rest();
    }
  } catch { rest(); } finally { busy = false; }
}, workerData.silentMs / 2);
`;

const LIMITS = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 };

/** @returns undefined where the data cannot be handed to a thread */
export function startPulse(code: string, options: PulseOptions): Pulse | undefined {
  let thread: Worker;
  try {
    thread = new Worker(PRELUDE + code, { eval: true, workerData: options, execArgv: [], resourceLimits: LIMITS });
  } catch {
    return undefined;
  }
  thread.on('error', () => {});
  thread.unref();
  return {
    beat: (lease) => thread.postMessage(lease),
    stop: () => void thread.terminate(),
  };
}
