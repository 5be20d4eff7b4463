import type { PeriodicTask } from '../../src/index.ts';
import { defineScheduler, type ScheduleStore, type StoredEntry } from '../../src/beat/index.ts';

/** Remembers nothing. */
export class OwnScheduler implements ScheduleStore {
  readonly name = 'memory';
  async load(configured: readonly PeriodicTask[]): Promise<StoredEntry[]> {
    return configured.map((task) => ({ task }));
  }
  async save(): Promise<void> {}
}

export default defineScheduler(() => new OwnScheduler());

export const wrong = (): object => ({});
