import type { Celery } from '../app/celery.ts';
import type { Logger } from '../runtime/logger.ts';

/** What makes a worker's window wide: slots, and messages that wait for something else than a slot. */
export interface WindowShare {
  /** Tasks at a time, now or as far as autoscaling may go. */
  readonly slots: number;
  /** Messages held for their ETA. */
  readonly held: number;
  /** Messages that wait for a rate limit. */
  readonly limited: number;
}

/** Messages that wait here for a rate limit beside the window. */
const MOST_LIMITED = 1_000;

/** How many messages a worker may have unsettled. Source: `Consumer.initial_prefetch_count`. */
export class PrefetchWindow {
  readonly #multiplier: number;
  readonly #share: () => WindowShare;
  readonly #log: Logger;
  /** Messages more, or fewer, than the slots and the multiplier say. */
  adjustment = 0;
  /** Rate-limited tasks fill the window. */
  #starved = false;

  constructor(app: Celery, multiplier: number | undefined, log: Logger, share: () => WindowShare) {
    this.#multiplier = multiplier ?? app.conf.workerPrefetchMultiplier;
    this.#log = log;
    this.#share = share;
  }

  /** 0: without limit. One more for each message held for its ETA. */
  get size(): number {
    if (this.#multiplier === 0) return 0;
    const { slots, held, limited } = this.#share();
    return Math.max(1, slots * this.#multiplier + this.adjustment) + held + this.#beside(limited);
  }

  /** Messages that wait for a rate limit do not count, up to a bound: tasks without a limit would wait behind them. */
  #beside(limited: number): number {
    if (limited < MOST_LIMITED) {
      this.#starved = false;
      return limited;
    }
    if (!this.#starved) {
      this.#starved = true;
      this.#log.warn(
        { waiting: limited },
        'rate-limited tasks fill the worker: tasks without a limit wait behind them',
      );
    }
    return MOST_LIMITED;
  }
}
