import { parseRate } from '../runtime/rate.ts';
import type { Clock } from '../runtime/clock.ts';
import type { TimerQueue } from '../runtime/timers.ts';
import type { Request } from './request.ts';

export { parseRate };

/** One token at most; starts full. Source: kombu.utils.limits.TokenBucket with capacity 1. */
class Bucket {
  readonly perSecond: number;
  readonly waiting: Request[] = [];
  #tokens = 1;
  #sinceMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.perSecond = perSecond;
    this.#sinceMs = nowMs;
  }

  /** 0: a token was taken; else milliseconds until one is there. */
  take(nowMs: number): number {
    // A wall clock that is set back takes no tokens away.
    const elapsedMs = Math.max(0, nowMs - this.#sinceMs);
    this.#tokens = Math.min(1, this.#tokens + (elapsedMs / 1000) * this.perSecond);
    this.#sinceMs = nowMs;
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return 0;
    }
    return ((1 - this.#tokens) / this.perSecond) * 1000;
  }
}

/** Rate limits of this worker, by task name. */
export class RateLimits {
  readonly #timers: TimerQueue;
  readonly #clock: Clock;
  readonly #release: (request: Request) => void;
  readonly #buckets = new Map<string, Bucket | undefined>();
  /** Buckets of limits that were changed since: what waits in them still goes out at the old rate. */
  readonly #former = new Set<Bucket>();
  #count = 0;
  /** Told when a request begins or ends to wait. */
  onChange: (() => void) | undefined;

  constructor(timers: TimerQueue, clock: Clock, release: (request: Request) => void) {
    this.#timers = timers;
    this.#clock = clock;
    this.#release = release;
  }

  /** Whether any limit was set at run time. */
  get any(): boolean {
    return this.#buckets.size > 0;
  }

  /** Requests that wait for a token. */
  get count(): number {
    return this.#count;
  }

  /** Whether the request has to wait for a token; then it is released later, in the order of arrival. */
  takes(request: Request): boolean {
    const { name, options } = request.task;
    if (!this.#buckets.has(name)) this.set(name, options.rateLimit);
    const bucket = this.#buckets.get(name);
    if (!bucket) return false;
    if (bucket.waiting.length === 0 && bucket.take(this.#clock.now()) === 0) return false;
    bucket.waiting.push(request);
    this.#changeBy(1);
    if (bucket.waiting.length === 1) this.#wait(bucket);
    return true;
  }

  /**
   * A new limit for one task; those waiting already go on under the old one.
   * @throws {RangeError} when it is no rate
   */
  set(task: string, limit: string | number | null): void {
    const perSecond = parseRate(limit);
    const former = this.#buckets.get(task);
    if (former && former.waiting.length > 0) this.#former.add(former);
    this.#buckets.set(task, perSecond > 0 ? new Bucket(perSecond, this.#clock.now()) : undefined);
  }

  /** Takes out everything that waits. */
  clear(): Request[] {
    const all = [...this.#buckets.values(), ...this.#former].flatMap((bucket) => bucket?.waiting.splice(0) ?? []);
    this.#former.clear();
    this.#changeBy(-all.length);
    return all;
  }

  #changeBy(by: number): void {
    this.#count += by;
    if (by !== 0) this.onChange?.();
  }

  #wait(bucket: Bucket): void {
    const now = this.#clock.now();
    const waitMs = bucket.take(now);
    if (waitMs > 0) {
      this.#timers.at(now + waitMs, () => {
        if (bucket.waiting.length > 0) this.#wait(bucket);
      });
      return;
    }
    const request = bucket.waiting.shift();
    if (request) {
      this.#changeBy(-1);
      this.#release(request);
    }
    if (bucket.waiting.length > 0) this.#wait(bucket);
    else this.#former.delete(bucket);
  }
}
