import type { Celery } from '../app/celery.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Delivery } from '../transports/transport.ts';
import type { Request } from './request.ts';

/** What makes a worker's window wide: slots, and messages that wait for something else than a slot. */
export interface WindowShare {
  /** Tasks at a time, now or as far as autoscaling may go. */
  readonly slots: number;
  /** Messages held for their ETA. */
  readonly held: number;
  /** Messages that wait for a rate limit. */
  readonly limited: number;
  readonly running: ReadonlySet<Request>;
}

export interface WindowOptions {
  /** @default setting `workerPrefetchMultiplier` */
  readonly multiplier?: number | undefined;
  /** @default setting `workerDisablePrefetch` */
  readonly disabled?: boolean | undefined;
  /** The broker cannot keep messages for their ETA: those that are too many have to stay in their queue. */
  readonly holds?: boolean | undefined;
}

/** Messages that wait here for a rate limit beside the window. */
const MOST_LIMITED = 1_000;
/** A window in which nothing is delivered. */
const CLOSED = -1;

/** How many messages a worker may have unsettled. Source: `Consumer.initial_prefetch_count`. */
export class PrefetchWindow {
  readonly #multiplier: number;
  /** Only what can start at once is fetched. */
  readonly #disabled: boolean;
  readonly #reduces: boolean;
  readonly #mostHeld: number;
  readonly #share: () => WindowShare;
  readonly #log: Logger;
  /** Messages more, or fewer, than the slots and the multiplier say. */
  adjustment = 0;
  /** Rate-limited tasks fill the window. */
  #starved = false;
  /** What ran when the connection was lost, with the deliveries it had then. */
  #before: Map<Request, Delivery> | undefined;

  constructor(app: Celery, options: WindowOptions, log: Logger, share: () => WindowShare) {
    this.#multiplier = options.multiplier ?? app.conf.workerPrefetchMultiplier;
    this.#disabled = options.disabled ?? app.conf.workerDisablePrefetch;
    this.#reduces = app.conf.workerEnablePrefetchCountReduction;
    this.#mostHeld = (options.holds ? app.conf.workerEtaTaskLimit : null) ?? Infinity;
    this.#log = log;
    this.#share = share;
  }

  /**
   * 0: without limit; below 0: nothing. One more for each message held for its ETA; where `workerEtaTaskLimit` bounds
   * those, the window does not grow beyond it.
   */
  get size(): number {
    const { slots, held, limited, running } = this.#share();
    if (this.#disabled) {
      const size = slots - startedEarly(running) + this.#forHeld(held, slots) + this.#beside(limited);
      return size > 0 ? size : CLOSED;
    }
    if (this.#multiplier === 0) return 0;
    const full = Math.max(1, slots * this.#multiplier + this.adjustment);
    return (this.#before ? this.#reduced(full) : full) + this.#forHeld(held, full) + this.#beside(limited);
  }

  #forHeld(held: number, size: number): number {
    return Math.min(held, Math.max(0, this.#mostHeld - size));
  }

  /** It changes when a task begins or ends, too. */
  get followsTasks(): boolean {
    return this.#disabled || this.#before !== undefined;
  }

  /**
   * The connection is lost. What runs is not unsettled on the next one, so as much less is fetched there, until it ends
   * or its message comes again.
   *
   * Source: `Consumer.on_connection_error_after_connected`, `_restore_prefetch_count_after_connection_restart`.
   * Differs: there the window grows again with every message that is settled.
   */
  lost(): void {
    const { running } = this.#share();
    if (!this.#reduces || this.#disabled || running.size === 0) return;
    this.#before = new Map([...running].map((request) => [request, request.delivery]));
    const { size } = this;
    if (size > 0) this.#log.info({ running: running.size, prefetch: size }, 'the prefetch window is reduced');
  }

  /** Running tasks without a delivery on this connection cost a multiplier each; those that have one again are in it. */
  #reduced(full: number): number {
    const before = this.#before as Map<Request, Delivery>;
    let without = 0;
    let again = 0;
    for (const [request, delivery] of before) {
      if (request.state !== 'running') before.delete(request);
      else if (request.delivery === delivery) without++;
      else again++;
    }
    if (without === 0) {
      this.#before = undefined;
      this.#log.info({ prefetch: full }, 'the prefetch window has its full size again');
      return full;
    }
    return Math.min(full, Math.max(this.#multiplier, full - without * this.#multiplier) + again);
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

/** Tasks that run, and whose messages are settled: they take up a slot, and no place in the window. */
function startedEarly(running: ReadonlySet<Request>): number {
  let count = 0;
  for (const request of running) if (!request.late && request.startedMs !== undefined) count++;
  return count;
}
