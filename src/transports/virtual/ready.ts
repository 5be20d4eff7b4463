/** What a queue orders by. */
export interface Waiting {
  /** 0 to 9; 0 is served first, as on Redis. */
  readonly priority: number;
}

const LEVELS = 10;

/** First in, first out; both ends in constant time. */
class Fifo<T> {
  #items: T[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  unshift(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item;
    else this.#items.unshift(item);
  }

  shift(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#head] as T;
    this.#items[this.#head++] = undefined as T;
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}

/** Messages that wait for a consumer, by priority, then by age. */
export class Ready<T extends Waiting> {
  #levels: Fifo<T>[] = Array.from({ length: LEVELS }, () => new Fifo<T>());
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    this.#level(item).push(item);
    this.#size++;
  }

  /** Served next among its priority. */
  unshift(item: T): void {
    this.#level(item).unshift(item);
    this.#size++;
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    for (const level of this.#levels) {
      if (level.size === 0) continue;
      this.#size--;
      return level.shift();
    }
    return undefined;
  }

  /** @returns how many there were */
  clear(): number {
    const dropped = this.#size;
    this.#levels = Array.from({ length: LEVELS }, () => new Fifo<T>());
    this.#size = 0;
    return dropped;
  }

  #level({ priority }: T): Fifo<T> {
    const at = Math.min(LEVELS - 1, Math.max(0, Math.trunc(priority) || 0));
    return this.#levels[at] as Fifo<T>;
  }
}
