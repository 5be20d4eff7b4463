import type { RegisteredTask } from '../app/task.ts';
import { canonicalPool } from './names.ts';
import type { Pool } from './pool.ts';

/** A worker's pool, and those that single tasks ask for. */
export class PoolSet {
  readonly main: Pool;
  readonly #create: (name: string) => Pool;
  readonly #others = new Map<string, Pool>();

  constructor(main: Pool, create: (name: string) => Pool) {
    this.main = main;
    this.#create = create;
  }

  get all(): readonly Pool[] {
    return [this.main, ...this.#others.values()];
  }

  /** Slots in all. */
  get size(): number {
    return this.all.reduce((sum, { size }) => sum + size, 0);
  }

  /** Where a task runs. @throws {ImproperlyConfigured} when there is no such pool */
  of(task: RegisteredTask): Pool {
    const name = task.options.pool === null ? null : canonicalPool(task.options.pool);
    if (name === null || name === this.main.name) return this.main;
    let pool = this.#others.get(name);
    if (pool === undefined) {
      pool = this.#create(name);
      this.#others.set(name, pool);
    }
    return pool;
  }

  /** Resolves when all of them are up. @throws when one cannot start */
  async start(tasks: Iterable<RegisteredTask>): Promise<void> {
    for (const task of tasks) this.of(task);
    await Promise.all(this.all.map(async (pool) => pool.start?.()));
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((pool) => pool.close()));
  }
}
