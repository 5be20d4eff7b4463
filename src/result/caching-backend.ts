import type { ChordStore, ResultBackend, ResultListener, ResultRecord, ResultWatch } from '../backends/backend.ts';
import type { ResultTuple } from '../protocol/result.ts';

/**
 * A backend that keeps the successes it has read, and does not ask for them again (`resultCacheMax`).
 * Source: `Backend._cache` of celery.backends.base.
 */
export class CachingBackend implements ResultBackend {
  readonly #inner: ResultBackend;
  readonly #most: number;
  /** The one used longest ago comes first. */
  readonly #kept = new Map<string, ResultRecord>();

  /** @param most how many are kept; Infinity for all */
  constructor(inner: ResultBackend, most: number) {
    this.#inner = inner;
    this.#most = most;
  }

  get name(): string {
    return this.#inner.name;
  }
  get displayUrl(): string {
    return this.#inner.displayUrl;
  }
  get capabilities(): ResultBackend['capabilities'] {
    return this.#inner.capabilities;
  }
  get chords(): ChordStore | undefined {
    return this.#inner.chords;
  }

  #find(taskId: string): ResultRecord | undefined {
    const record = this.#kept.get(taskId);
    if (record === undefined) return undefined;
    this.#kept.delete(taskId);
    this.#kept.set(taskId, record);
    return record;
  }

  #keep(record: ResultRecord | undefined): ResultRecord | undefined {
    if (record?.status !== 'SUCCESS') return record;
    this.#kept.delete(record.taskId);
    this.#kept.set(record.taskId, record);
    if (this.#kept.size > this.#most) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
    return record;
  }

  prepare(): true | Promise<void> {
    return this.#inner.prepare?.() ?? true;
  }
  store(record: ResultRecord): Promise<void> {
    return this.#inner.store(record);
  }

  async load(taskId: string): Promise<ResultRecord | undefined> {
    return this.#find(taskId) ?? this.#keep(await this.#inner.load(taskId));
  }

  async loadMany(taskIds: readonly string[]): Promise<(ResultRecord | undefined)[]> {
    const found = taskIds.map((taskId) => this.#find(taskId));
    const absent = taskIds.filter((_, i) => found[i] === undefined);
    if (absent.length === 0) return found;
    const loaded = (await this.#inner.loadMany(absent)).values();
    return found.map((record) => record ?? this.#keep(loaded.next().value));
  }

  watch(taskId: string, listener: ResultListener): ResultWatch {
    const record = this.#find(taskId);
    if (record === undefined) return this.#inner.watch(taskId, (one) => listener(this.#keep(one) as ResultRecord));
    // Nothing follows a success.
    let open = true;
    const ready = Promise.resolve().then(() => {
      if (open) listener(record);
    });
    return { ready, close: () => void (open = false) };
  }

  async forget(taskId: string): Promise<void> {
    this.#kept.delete(taskId);
    await this.#inner.forget(taskId);
  }
  saveGroup(groupId: string, group: ResultTuple): Promise<void> {
    return this.#inner.saveGroup(groupId, group);
  }
  loadGroup(groupId: string): Promise<ResultTuple | undefined> {
    return this.#inner.loadGroup(groupId);
  }
  deleteGroup(groupId: string): Promise<void> {
    return this.#inner.deleteGroup(groupId);
  }
  cleanup(): Promise<number> {
    return this.#inner.cleanup();
  }

  async close(): Promise<void> {
    this.#kept.clear();
    await this.#inner.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
