import { ImproperlyConfigured } from '../errors.ts';
import type { RegisteredTask } from './task.ts';

/** The tasks of one app, by name. */
export class TaskRegistry {
  readonly #tasks = new Map<string, RegisteredTask>();

  get(name: string): RegisteredTask | undefined {
    return this.#tasks.get(name);
  }

  has(name: string): boolean {
    return this.#tasks.has(name);
  }

  /** Sorted, built-ins (`celery.*`) included. */
  names(): string[] {
    return [...this.#tasks.keys()].sort();
  }

  /** @throws {ImproperlyConfigured} when another handler has the name already */
  add(task: RegisteredTask): void {
    const present = this.#tasks.get(task.name);
    if (present !== undefined && present.handler !== task.handler) {
      throw new ImproperlyConfigured(
        `a task named "${task.name}" is already registered: names are the contract on the wire, give one of the two another`,
      );
    }
    this.#tasks.set(task.name, task);
  }

  [Symbol.iterator](): IterableIterator<RegisteredTask> {
    return this.#tasks.values();
  }
}
