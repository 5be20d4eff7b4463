import { sleep, type Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { LeaseLostError } from '../errors.ts';
import type { Election } from './schedule-store.ts';

/** Of the time a lease is granted for: how long it is trusted. */
const TRUSTED = 0.9;
const RENEWALS = 3;
/** Looks of a standby within one lease. */
const LOOKS = 10;

/**
 * Whether this beat may send. Trusts only the clock: a process that was stopped for a while finds its lease over
 * before anything else, whatever it had been doing.
 */
export class Leadership {
  readonly #election: Election;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** When the lease is over, by two clocks: one stands still while the machine sleeps, the other may be set. */
  #until = { monotonicMs: -Infinity, wallMs: -Infinity };
  /** Counts the times it became the leader. */
  term = 0;
  #lost = new AbortController();
  readonly #listeners = new Set<() => void>();

  constructor(election: Election, clock: Clock, log: Logger) {
    this.#election = election;
    this.#clock = clock;
    this.#log = log;
  }

  get holds(): boolean {
    const { monotonicMs, wallMs } = this.#until;
    return this.#clock.monotonic() < monotonicMs && this.#clock.now() < wallMs;
  }

  /** Aborts when this term is over. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Calls `listener` when it begins or ceases to lead. @returns a function that stops it */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Takes or renews the lease. @returns whether this beat leads */
  async campaign(): Promise<boolean> {
    const held = this.holds;
    if (!held) this.lose();
    const trustedMs = this.#election.grantedMs * TRUSTED;
    // From before the question: the answer may have been long on its way.
    const until = { monotonicMs: this.#clock.monotonic() + trustedMs, wallMs: this.#clock.now() + trustedMs };
    if (!(await this.#election.campaign())) {
      this.lose();
      return false;
    }
    if (!this.holds) {
      this.lose();
      this.term++;
      this.#lost = new AbortController();
      this.#until = until;
      this.#log.info({ term: this.term }, 'beat: leading');
      this.#announce();
    } else this.#until = until;
    return this.holds;
  }

  /** Another leads, or nobody. Harmless twice. */
  lose(): void {
    this.#until = { monotonicMs: -Infinity, wallMs: -Infinity };
    if (this.#lost.signal.aborted || this.term === 0) return;
    this.#lost.abort(new LeaseLostError('this beat leads no longer'));
    this.#log.warn({ term: this.term }, 'beat: no longer leading');
    this.#announce();
  }

  #announce(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Campaigns until the signal aborts, then gives the lease up. Never rejects. */
  async keep(signal: AbortSignal): Promise<void> {
    const { grantedMs, leaseMs } = this.#election;
    while (!signal.aborted) {
      await this.#try();
      await sleep(this.#clock, this.holds ? grantedMs / RENEWALS : leaseMs / LOOKS, signal).catch(() => {});
    }
    this.#until = { monotonicMs: -Infinity, wallMs: -Infinity };
    await this.#election.resign().catch((error: unknown) => {
      this.#log.warn({ error }, 'beat could not give up its lease: it ends by itself');
    });
  }

  async #try(): Promise<void> {
    try {
      await this.campaign();
    } catch (error) {
      if (!this.holds) this.lose();
      this.#log.warn({ error }, 'beat cannot reach the others that share its schedule');
    }
  }
}
