import { AsyncLocalStorage } from 'node:async_hooks';
import type { TaskRequest } from './request.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { Outcome } from './trace.ts';

/** The run that the present code belongs to, and what it has sent so far. */
export interface Run {
  readonly request: TaskRequest;
  /** Handles of the tasks this run published, for the result's `children`; undefined where nobody reads them. */
  readonly children: ResultTuple[];
  /** What the body started and did not have to await: the run is not over before it. */
  readonly pending: Promise<unknown>[];
  /** Waiting for other results is allowed in here (`allowJoinResult`). */
  readonly joinAllowed: boolean;
}

/** Goes around a run of a task: calls `run` once and returns its outcome. */
export type Around = (request: TaskRequest, run: () => Promise<Outcome>) => Promise<Outcome>;

/** Follows the running task across awaits. One per app: two apps never see each other's tasks. */
export class Lineage {
  readonly #storage = new AsyncLocalStorage<Run>();
  readonly #around = new Map<string, Around>();

  /** Undefined outside tasks. */
  get current(): Run | undefined {
    return this.#storage.getStore();
  }

  run<T>(run: Run, body: () => T): T {
    return this.#storage.run(run, body);
  }

  /**
   * Puts something around each run in this process, signals included; the one added last is the outermost.
   * @param id another with the same id replaces it
   * @returns a function that takes it away; harmless twice
   */
  around(id: string, wrapper: Around): () => void {
    this.#around.set(id, wrapper);
    return () => {
      if (this.#around.get(id) === wrapper) this.#around.delete(id);
    };
  }

  /** Runs `run` with what was put around it. */
  surround(request: TaskRequest, run: () => Promise<Outcome>): Promise<Outcome> {
    let surrounded = run;
    for (const wrapper of this.#around.values()) {
      const inner = surrounded;
      surrounded = () => wrapper(request, inner);
    }
    return surrounded();
  }

  /** Nothing is put around runs. */
  get isBare(): boolean {
    return this.#around.size === 0;
  }
}
