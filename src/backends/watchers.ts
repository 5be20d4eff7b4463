import type { ResultListener, ResultRecord } from './backend.ts';

/** Who waits for which id. */
export class Watchers {
  readonly #listeners = new Map<string, Set<ResultListener>>();

  get ids(): IterableIterator<string> {
    return this.#listeners.keys();
  }

  get size(): number {
    return this.#listeners.size;
  }

  has(taskId: string): boolean {
    return this.#listeners.has(taskId);
  }

  /** @returns whether the id had no listener before */
  add(taskId: string, listener: ResultListener): boolean {
    const present = this.#listeners.get(taskId);
    if (present) {
      present.add(listener);
      return false;
    }
    this.#listeners.set(taskId, new Set([listener]));
    return true;
  }

  /** @returns whether the id has no listener left */
  remove(taskId: string, listener: ResultListener): boolean {
    const present = this.#listeners.get(taskId);
    if (!present?.delete(listener) || present.size > 0) return false;
    this.#listeners.delete(taskId);
    return true;
  }

  tell(record: ResultRecord): void {
    const listeners = this.#listeners.get(record.taskId);
    if (listeners) for (const listener of [...listeners]) listener(record);
  }

  clear(): void {
    this.#listeners.clear();
  }
}
