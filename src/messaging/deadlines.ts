import type { Clock, Timer } from '../runtime/clock.ts';

/** How late a deadline may be noticed. One timer serves all of them, because a timer per message costs too much. */
const CHECK_EVERY_MS = 100;

/** Something that has to be over by a certain time. */
export interface Due {
  /** `clock.monotonic()` */
  readonly dueMs: number;
  /** Called once, unless it was removed before. */
  expire(): void;
}

/** Watches many deadlines with one timer, which only runs while there are some. */
export class Deadlines<D extends Due> {
  readonly #clock: Clock;
  readonly #pending = new Set<D>();
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#pending.size;
  }

  add(due: D): void {
    this.#pending.add(due);
    this.#timer ??= this.#clock.setTimer(CHECK_EVERY_MS, this.#check);
  }

  /** Harmless twice. */
  remove(due: D): void {
    this.#pending.delete(due);
  }

  /** Hands over everything that is pending, and watches nothing any more. */
  drain(): D[] {
    const all = [...this.#pending];
    this.#pending.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
    return all;
  }

  readonly #check = (): void => {
    const now = this.#clock.monotonic();
    for (const due of this.#pending) {
      if (due.dueMs > now) continue;
      this.#pending.delete(due);
      due.expire();
    }
    // Runs once more after the last one has gone, so that a steady stream of publishes sets no timer each.
    this.#timer = this.#pending.size === 0 ? undefined : this.#clock.setTimer(CHECK_EVERY_MS, this.#check);
  };
}
