import type { Clock, Timer } from '../runtime/clock.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';

interface Pending {
  readonly dueMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Time that moves only when told to. Timers fire in the order of their due times. */
export class ManualClock implements Clock {
  #nowMs: number;
  #elapsedMs = 0;
  #order = 0;
  readonly #pending = new Set<Pending>();

  /** @param startMs Unix time in milliseconds to begin with @default 2026-01-01T00:00:00Z */
  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#pending.size;
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const pending: Pending = { dueMs: this.#elapsedMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  /** Moves on, firing what becomes due; lets promises settle before and after each timer. */
  async advance(by: Duration): Promise<void> {
    const end = this.#elapsedMs + durationMs(by);
    await settle();
    for (;;) {
      let next: Pending | undefined;
      for (const one of this.#pending) {
        if (one.dueMs > end) continue;
        if (!next || one.dueMs < next.dueMs || (one.dueMs === next.dueMs && one.order < next.order)) next = one;
      }
      if (!next) break;
      this.#pending.delete(next);
      this.#moveTo(Math.max(this.#elapsedMs, next.dueMs));
      next.run();
      await settle();
    }
    this.#moveTo(end);
    await settle();
  }

  #moveTo(elapsedMs: number): void {
    this.#nowMs += elapsedMs - this.#elapsedMs;
    this.#elapsedMs = elapsedMs;
  }
}

/** Runs what is queued already: promise reactions, and callbacks of I/O that has completed. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
