import type { Clock } from '../runtime/clock.ts';

const MOST = 50_000;
const LIFETIME_MS = 10_800_000;

/** Ids of tasks that must not run, newest last; bounded in number and age. Source: celery.worker.state.revoked. */
export class RevokedIds {
  readonly #clock: Clock;
  readonly #ids = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(id: string): boolean {
    return this.#ids.size > 0 && this.#ids.has(id);
  }

  add(id: string): void {
    this.#ids.delete(id);
    this.#ids.set(id, this.#clock.monotonic());
    if (this.#ids.size > MOST) this.#purge();
  }

  /** Oldest first. */
  list(): string[] {
    this.#purge();
    return [...this.#ids.keys()];
  }

  /** As `hello` exchanges them: id → [seconds, id]. Never a whole number, which Python peers refuse. */
  exchange(): Record<string, [number, string]> {
    const map: Record<string, [number, string]> = {};
    for (const [id, at] of this.#ids) map[id] = [at / 1000 + 1e-6, id];
    return map;
  }

  #purge(): void {
    const oldest = this.#clock.monotonic() - LIFETIME_MS;
    for (const [id, at] of this.#ids) {
      if (at > oldest && this.#ids.size <= MOST) return;
      this.#ids.delete(id);
    }
  }
}
