import { ResultTimeoutError } from '../errors.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { AsyncResult, GetOptions } from './async-result.ts';
import type { Progress } from './progress.ts';
import { ResultBase } from './result-base.ts';
import type { ResultMeta, Snapshot } from './snapshot.ts';
import { isReady } from './states.ts';

/** The result of a task that ran here, in this process: it is ready from the start. */
export class EagerResult<out T> extends ResultBase<T> implements AsyncResult<T> {
  readonly id: string;
  readonly parent: AsyncResult<unknown> | null;
  readonly #snapshot: Snapshot<T>;
  readonly #state: string;

  constructor(snapshot: Snapshot<T>, state: string, parent: AsyncResult<unknown> | null = null) {
    super();
    this.id = snapshot.id;
    this.parent = parent;
    this.#snapshot = snapshot;
    this.#state = state;
  }

  /** The same result, and what came before it, behind another one. */
  after(first: AsyncResult<unknown>): EagerResult<T> {
    const parent = this.parent instanceof EagerResult ? this.parent.after(first) : (this.parent ?? first);
    return new EagerResult(this.#snapshot, this.#state, parent);
  }

  get(options: GetOptions = {}): Promise<T> {
    const snapshot = this.#snapshot;
    if (snapshot.state === 'SUCCESS') return Promise.resolve(snapshot.value);
    if (snapshot.state === 'FAILURE' || snapshot.state === 'REVOKED') {
      return options.propagate === false ? Promise.resolve(snapshot.error as T) : Promise.reject(snapshot.error);
    }
    return Promise.reject(new ResultTimeoutError(`the eager run ended as ${this.#state}: there is no value`));
  }

  snapshot(): Promise<Snapshot<T>> {
    return Promise.resolve(this.#snapshot);
  }
  /** SUCCESS, FAILURE, or IGNORED and REJECTED where the task ended that way. */
  state(): Promise<string> {
    return Promise.resolve(this.#state);
  }
  ready(): Promise<boolean> {
    return Promise.resolve(isReady(this.#state) || this.#state === 'IGNORED' || this.#state === 'REJECTED');
  }
  successful(): Promise<boolean> {
    return Promise.resolve(this.#state === 'SUCCESS');
  }
  failed(): Promise<boolean> {
    return Promise.resolve(this.#state === 'FAILURE');
  }
  async *updates(): AsyncGenerator<Snapshot<T>, void, undefined> {
    yield this.#snapshot;
  }
  async *progress(): AsyncGenerator<Progress, void, undefined> {
    const successful = this.#state === 'SUCCESS' ? 1 : 0;
    yield { successful, failed: 1 - successful, total: 1, done: true };
  }
  children(): Promise<AsyncResult<unknown>[]> {
    return Promise.resolve([]);
  }
  meta(): Promise<ResultMeta> {
    return Promise.resolve({
      name: null,
      args: null,
      kwargs: null,
      worker: null,
      retries: null,
      queue: null,
      stamps: null,
      groupId: null,
      parentId: this.parent?.id ?? null,
    });
  }
  forget(): Promise<void> {
    return Promise.resolve();
  }
  /** Too late: it ran already. */
  revoke(): Promise<void> {
    return Promise.resolve();
  }
  /** Too late as well. */
  abort(): Promise<void> {
    return Promise.resolve();
  }
  /** Too late as well. */
  revokeByStampedHeaders(): Promise<void> {
    return Promise.resolve();
  }
  toJSON(): ResultTuple {
    return [[this.id, this.parent?.toJSON() ?? null], null];
  }
}
