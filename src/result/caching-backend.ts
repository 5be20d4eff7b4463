import type { ResultBackend, ResultListener, ResultRecord, ResultWatch } from '../backends/backend.ts';
import { BackendLayer } from './backend-layer.ts';

/**
 * A backend that keeps the successes it has read, and does not ask for them again (`resultCacheMax`).
 * Source: `Backend._cache` of celery.backends.base.
 */
export class CachingBackend extends BackendLayer {
  readonly #most: number;
  /** The one used longest ago comes first. */
  readonly #kept = new Map<string, ResultRecord>();

  /** @param most how many are kept; Infinity for all */
  constructor(inner: ResultBackend, most: number) {
    super(inner);
    this.#most = most;
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

  override async load(taskId: string): Promise<ResultRecord | undefined> {
    return this.#find(taskId) ?? this.#keep(await this.inner.load(taskId));
  }

  override async loadMany(taskIds: readonly string[]): Promise<(ResultRecord | undefined)[]> {
    const found = taskIds.map((taskId) => this.#find(taskId));
    const absent = taskIds.filter((_, i) => found[i] === undefined);
    if (absent.length === 0) return found;
    const loaded = (await this.inner.loadMany(absent)).values();
    return found.map((record) => record ?? this.#keep(loaded.next().value));
  }

  override watch(taskId: string, listener: ResultListener): ResultWatch {
    const record = this.#find(taskId);
    if (record === undefined) return this.inner.watch(taskId, (one) => listener(this.#keep(one) as ResultRecord));
    // Nothing follows a success.
    let open = true;
    const ready = Promise.resolve().then(() => {
      if (open) listener(record);
    });
    return { ready, close: () => void (open = false) };
  }

  override async forget(taskId: string): Promise<void> {
    this.#kept.delete(taskId);
    await this.inner.forget(taskId);
  }

  override async close(): Promise<void> {
    this.#kept.clear();
    await this.inner.close();
  }
}
