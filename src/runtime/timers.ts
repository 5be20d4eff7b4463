import type { Clock, Timer } from './clock.ts';

/** Something to be done at a time; `cancel()` twice or after it ran is harmless. */
export interface Scheduled {
  /** `clock.now()` at which it is due. */
  readonly dueMs: number;
  cancel(): void;
}

class Entry implements Scheduled {
  readonly dueMs: number;
  readonly #owner: TimerQueue;
  run: (() => void) | undefined;

  constructor(dueMs: number, run: () => void, owner: TimerQueue) {
    this.dueMs = dueMs;
    this.run = run;
    this.#owner = owner;
  }

  cancel(): void {
    if (!this.run) return;
    this.run = undefined;
    this.#owner.cancelled();
  }
}

const LONGEST_WAIT_MS = 1_000;
const SHORTEST_WAIT_MS = 10;

/**
 * Many wall-clock timers on one timer of the platform: a binary heap, never early. Cancelled entries stay in the
 * heap until they surface or are the majority.
 */
export class TimerQueue {
  readonly #clock: Clock;
  readonly #longestWaitMs: number;
  #heap: Entry[] = [];
  #dead = 0;
  #timer: Timer | undefined;
  #timerDueMs = Infinity;

  /** @param longestWaitMs a system clock that jumps forward is noticed after this long at the latest, at least 10 */
  constructor(clock: Clock, longestWaitMs: number = LONGEST_WAIT_MS) {
    this.#clock = clock;
    this.#longestWaitMs = Math.max(SHORTEST_WAIT_MS, longestWaitMs);
  }

  /** Entries that have neither run nor been cancelled. */
  get size(): number {
    return this.#heap.length - this.#dead;
  }

  at(dueMs: number, run: () => void): Scheduled {
    const entry = new Entry(dueMs, run, this);
    this.#heap.push(entry);
    this.#rise(this.#heap.length - 1);
    if (dueMs < this.#timerDueMs) this.#arm();
    return entry;
  }

  /** Drops everything without running it. */
  clear(): void {
    for (const entry of this.#heap) entry.run = undefined;
    this.#heap = [];
    this.#dead = 0;
    this.#disarm();
  }

  /** @internal */
  cancelled(): void {
    this.#dead++;
    if (this.#dead === this.#heap.length) return this.clear();
    if (this.#dead < 64 || this.#dead * 2 < this.#heap.length) return;
    this.#heap = this.#heap.filter((entry) => entry.run !== undefined).sort((a, b) => a.dueMs - b.dueMs);
    this.#dead = 0;
  }

  readonly #fire = (): void => {
    this.#timer = undefined;
    this.#timerDueMs = Infinity;
    const now = this.#clock.now();
    for (let first = this.#heap[0]; first !== undefined && first.dueMs <= now; first = this.#heap[0]) {
      this.#removeFirst();
      const { run } = first;
      first.run = undefined;
      if (run) run();
      else this.#dead--;
    }
    this.#arm();
  };

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined) return this.#disarm();
    this.#timer?.cancel();
    this.#timerDueMs = first.dueMs;
    const waitMs = Math.min(this.#longestWaitMs, Math.max(0, Math.ceil(first.dueMs - this.#clock.now())));
    this.#timer = this.#clock.setTimer(waitMs, this.#fire);
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerDueMs = Infinity;
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const entry = heap[from] as Entry;
    let at = from;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up] as Entry;
      if (parent.dueMs <= entry.dueMs) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = entry;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as Entry).dueMs < (heap[child] as Entry).dueMs) child++;
      if ((heap[child] as Entry).dueMs >= last.dueMs) break;
      heap[at] = heap[child] as Entry;
      at = child;
    }
    heap[at] = last;
  }
}
