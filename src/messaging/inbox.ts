import type { Clock, Timer } from '../runtime/clock.ts';

interface Item<T> {
  readonly value: T;
  readonly onTaken: (() => void) | undefined;
}

interface Reader<T> {
  give(value: T | undefined): void;
}

/** Messages on the one side, readers that wait for them on the other. */
export class Inbox<T> {
  readonly #clock: Clock;
  readonly #items: Item<T>[] = [];
  readonly #readers: Reader<T>[] = [];
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#items.length;
  }

  /** @param onTaken called when a reader has it */
  push(value: T, onTaken?: () => void): void {
    const reader = this.#readers.shift();
    if (reader === undefined) {
      this.#items.push({ value, onTaken });
      return;
    }
    onTaken?.();
    reader.give(value);
  }

  shift(): T | undefined {
    const item = this.#items.shift();
    item?.onTaken?.();
    return item?.value;
  }

  /** The next one; undefined after `timeoutMs`, or when it was closed. */
  take(timeoutMs: number | undefined): Promise<T | undefined> {
    if (this.#items.length > 0) return Promise.resolve(this.shift());
    if (this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const reader: Reader<T> = {
        give: (value) => {
          timer?.cancel();
          resolve(value);
        },
      };
      this.#readers.push(reader);
      if (timeoutMs === undefined) return;
      timer = this.#clock.setTimer(timeoutMs, () => {
        const at = this.#readers.indexOf(reader);
        if (at >= 0) this.#readers.splice(at, 1);
        resolve(undefined);
      });
    });
  }

  /** Takes everything out; nobody counts as having read it. */
  clear(): T[] {
    return this.#items.splice(0).map(({ value }) => value);
  }

  /** Readers get nothing any more. Harmless twice. */
  close(): void {
    this.#closed = true;
    for (const reader of this.#readers.splice(0)) reader.give(undefined);
  }
}
