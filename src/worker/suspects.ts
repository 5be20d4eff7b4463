import { sleep, type Clock } from '../runtime/clock.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';

/** What kills its worker mostly does so at once; what has run for so long no longer keeps others waiting. */
const HEAD_START_MS = 3_000;
/** Until the acknowledgement of one that has ended is at the broker: the next one may block the loop, or kill the worker. */
const SETTLED_MS = 250;

/**
 * Messages that may have killed their workers begin one after the other: of two that begin together nobody could say
 * afterwards which of them did it, and the innocent one would be put away too.
 */
export class Suspects<T extends object> {
  readonly #clock: Clock;
  readonly #running = new Map<T, Deferred<void>>();
  #last: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when it may begin; `ended()` has to follow. */
  turn(suspect: T): Promise<void> {
    const before = this.#last;
    const ended = deferred();
    this.#running.set(suspect, ended);
    this.#last = before.then(() => this.#within(ended.promise));
    return before;
  }

  /** Harmless for what is none. */
  ended(suspect: T): void {
    if (this.#running.size === 0) return;
    this.#running.get(suspect)?.resolve();
    this.#running.delete(suspect);
  }

  async #within(ended: Promise<void>): Promise<void> {
    const over = new AbortController();
    const settled = ended.then(() => sleep(this.#clock, SETTLED_MS, over.signal, { keepAlive: false }));
    const headStart = sleep(this.#clock, HEAD_START_MS, over.signal, { keepAlive: false });
    await Promise.race([settled.catch(() => {}), headStart.catch(() => {})]);
    over.abort();
  }
}
