import type { Pool } from '../pools/pool.ts';
import type { Request } from './request.ts';

/** What waits for one pool, in the order of arrival, and how much runs there. */
export class Lane {
  readonly pool: Pool;
  running = 0;
  readonly #waiting: (Request | undefined)[] = [];
  #head = 0;

  constructor(pool: Pool) {
    this.pool = pool;
  }

  /** Whether a request may begin now without overtaking another. */
  get open(): boolean {
    return this.running < this.pool.size && this.#head === this.#waiting.length;
  }

  get length(): number {
    return this.#waiting.length - this.#head;
  }

  /** The one that has waited longest. */
  get first(): Request | undefined {
    return this.#waiting[this.#head];
  }

  get waiting(): Request[] {
    return this.#waiting.slice(this.#head) as Request[];
  }

  push(request: Request): void {
    this.#waiting.push(request);
  }

  /** The next that still wants to run, while there is a slot. */
  take(): Request | undefined {
    while (this.running < this.pool.size && this.#head < this.#waiting.length) {
      const request = this.#waiting[this.#head] as Request;
      this.#waiting[this.#head++] = undefined;
      if (this.#head > 1024) {
        this.#waiting.splice(0, this.#head);
        this.#head = 0;
      }
      if (request.state === 'waiting') return request;
    }
    if (this.#head === this.#waiting.length) this.clear();
    return undefined;
  }

  clear(): void {
    this.#waiting.length = 0;
    this.#head = 0;
  }
}
