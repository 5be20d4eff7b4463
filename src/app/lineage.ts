import { AsyncLocalStorage } from 'node:async_hooks';
import type { TaskRequest } from './request.ts';
import type { ResultTuple } from '../protocol/result.ts';

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

/** Follows the running task across awaits. One per app: two apps never see each other's tasks. */
export class Lineage {
  readonly #storage = new AsyncLocalStorage<Run>();

  /** Undefined outside tasks. */
  get current(): Run | undefined {
    return this.#storage.getStore();
  }

  run<T>(run: Run, body: () => T): T {
    return this.#storage.run(run, body);
  }
}
