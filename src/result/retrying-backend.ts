import type { ChordStore, ResultBackend, ResultRecord } from '../backends/backend.ts';
import { OperationalError } from '../errors.ts';
import type { ResultTuple } from '../protocol/result.ts';
import { backoffMs } from '../runtime/backoff.ts';
import { sleep, type Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Random } from '../runtime/random.ts';
import { BackendLayer } from './backend-layer.ts';

/** Settings `resultBackendMaxRetries` and the two sleeps. */
export interface BackendRetry {
  /** Infinity: as long as the backend is open. */
  readonly maxRetries: number;
  readonly baseMs: number;
  readonly capMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * A backend whose every request is tried again while the store is out of reach (`resultBackendAlwaysRetry`).
 * Closing ends the waiting. Source: `Backend.retry_policy` and `store_result` of celery.backends.base.
 */
export class RetryingBackend extends BackendLayer {
  readonly #retry: BackendRetry;
  readonly #closing = new AbortController();

  constructor(inner: ResultBackend, retry: BackendRetry) {
    super(inner);
    this.#retry = retry;
  }

  override get chords(): ChordStore | undefined {
    const { chords } = this.inner;
    if (chords === undefined) return undefined;
    return {
      begin: (...args) => this.#again('begin a chord', () => chords.begin(...args)),
      add: (...args) => this.#again('count a chord member', () => chords.add(...args)),
      grow: (...args) => this.#again('grow a chord', () => chords.grow(...args)),
      end: (...args) => this.#again('end a chord', () => chords.end(...args)),
    };
  }

  async #again<T>(what: string, ask: () => Promise<T>): Promise<T> {
    const { maxRetries, clock, random, log } = this.#retry;
    for (let attempt = 0; ; attempt++) {
      try {
        return await ask();
      } catch (error) {
        const recoverable = error instanceof OperationalError && error.recoverable;
        if (!recoverable || attempt >= maxRetries || this.#closing.signal.aborted) throw error;
        const waitMs = backoffMs(attempt, this.#retry, random);
        log.warn({ error, what, waitMs, attempt: attempt + 1 }, 'the result backend is out of reach, trying again');
        await sleep(clock, waitMs, this.#closing.signal).catch(() => {
          throw error;
        });
      }
    }
  }

  override store(record: ResultRecord): Promise<void> {
    return this.#again('store', () => this.inner.store(record));
  }
  override load(taskId: string): Promise<ResultRecord | undefined> {
    return this.#again('load', () => this.inner.load(taskId));
  }
  override loadMany(taskIds: readonly string[]): Promise<(ResultRecord | undefined)[]> {
    return this.#again('loadMany', () => this.inner.loadMany(taskIds));
  }
  override forget(taskId: string): Promise<void> {
    return this.#again('forget', () => this.inner.forget(taskId));
  }
  override saveGroup(groupId: string, group: ResultTuple): Promise<void> {
    return this.#again('saveGroup', () => this.inner.saveGroup(groupId, group));
  }
  override loadGroup(groupId: string): Promise<ResultTuple | undefined> {
    return this.#again('loadGroup', () => this.inner.loadGroup(groupId));
  }
  override deleteGroup(groupId: string): Promise<void> {
    return this.#again('deleteGroup', () => this.inner.deleteGroup(groupId));
  }
  override cleanup(): Promise<number> {
    return this.#again('cleanup', () => this.inner.cleanup());
  }

  override async close(): Promise<void> {
    this.#closing.abort();
    await this.inner.close();
  }
}
