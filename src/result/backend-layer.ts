import type { ChordStore, ResultBackend, ResultListener, ResultRecord, ResultWatch } from '../backends/backend.ts';
import type { ResultTuple } from '../protocol/result.ts';

/** A backend that hands everything on to another; those that add something extend it. */
export abstract class BackendLayer implements ResultBackend {
  protected readonly inner: ResultBackend;

  constructor(inner: ResultBackend) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }
  get displayUrl(): string {
    return this.inner.displayUrl;
  }
  get capabilities(): ResultBackend['capabilities'] {
    return this.inner.capabilities;
  }
  get chords(): ChordStore | undefined {
    return this.inner.chords;
  }

  prepare(): true | Promise<void> {
    return this.inner.prepare?.() ?? true;
  }
  store(record: ResultRecord): Promise<void> {
    return this.inner.store(record);
  }
  load(taskId: string): Promise<ResultRecord | undefined> {
    return this.inner.load(taskId);
  }
  loadMany(taskIds: readonly string[]): Promise<(ResultRecord | undefined)[]> {
    return this.inner.loadMany(taskIds);
  }
  watch(taskId: string, listener: ResultListener): ResultWatch {
    return this.inner.watch(taskId, listener);
  }
  forget(taskId: string): Promise<void> {
    return this.inner.forget(taskId);
  }
  saveGroup(groupId: string, group: ResultTuple): Promise<void> {
    return this.inner.saveGroup(groupId, group);
  }
  loadGroup(groupId: string): Promise<ResultTuple | undefined> {
    return this.inner.loadGroup(groupId);
  }
  deleteGroup(groupId: string): Promise<void> {
    return this.inner.deleteGroup(groupId);
  }
  cleanup(): Promise<number> {
    return this.inner.cleanup();
  }
  close(): Promise<void> {
    return this.inner.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
