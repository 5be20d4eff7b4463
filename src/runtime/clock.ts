/*
 * The only place that reads the time or sets a timer. Everything else is handed a `Clock`.
 */

/** A timer that has been set; cancelling twice or after it fired is harmless. */
export interface Timer {
  cancel(): void;
}

/** Time as the library sees it. Tests put a manual clock here. */
export interface Clock {
  /** Wall clock, Unix time in milliseconds, with fractions where the platform has them. */
  now(): number;
  /** Never goes back; milliseconds since an arbitrary moment. For durations and deadlines. */
  monotonic(): number;
  /**
   * Calls `run` once after `delayMs` (0 or less: as soon as possible).
   * @param options.keepAlive `false` lets the process exit while the timer waits; default `true`
   */
  setTimer(delayMs: number, run: () => void, options?: { keepAlive?: boolean }): Timer;
}

/** Node rejects longer delays by firing at once; longer waits are split. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

class SystemTimer implements Timer {
  #handle: NodeJS.Timeout;
  constructor(delayMs: number, run: () => void, keepAlive: boolean) {
    const dueMs = performance.now() + delayMs;
    const arm = (leftMs: number): NodeJS.Timeout => {
      const handle =
        leftMs > LONGEST_TIMER_MS
          ? setTimeout(() => (this.#handle = arm(dueMs - performance.now())), LONGEST_TIMER_MS)
          : setTimeout(run, leftMs);
      if (!keepAlive) handle.unref();
      return handle;
    };
    this.#handle = arm(delayMs);
  }
  cancel(): void {
    clearTimeout(this.#handle);
  }
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer: (delayMs, run, options) => new SystemTimer(delayMs, run, options?.keepAlive ?? true),
};

/**
 * Resolves after `delayMs`; rejects with the signal's reason when it aborts first.
 * @param options.keepAlive `false` lets the process exit meanwhile; default `true`
 */
export function sleep(
  clock: Clock,
  delayMs: number,
  signal?: AbortSignal,
  options?: { readonly keepAlive?: boolean },
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = clock.setTimer(
      delayMs,
      () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      },
      { keepAlive: options?.keepAlive ?? true },
    );
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Settles like `work`, or rejects with `onTimeout()` once `timeoutMs` have passed.
 * The work itself is not stopped: hand it a signal where it can be.
 */
export function withDeadline<T>(
  clock: Clock,
  timeoutMs: number,
  work: PromiseLike<T>,
  onTimeout: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(timeoutMs, () => reject(onTimeout()));
    work.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error as Error);
      },
    );
  });
}
