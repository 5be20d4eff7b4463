import type { Celery } from '../app/celery.ts';
import { trace, type Outcome } from '../app/trace.ts';
import type { Cancellation } from '../runtime/cancellation.ts';
import { NOT_RUN, type Job, type Pool } from './pool.ts';

/**
 * Runs handlers in the worker's own event loop: many at a time while they wait for I/O. Size 1 is Celery's solo.
 * A run cannot be ended by force: a hard limit gives up on it and frees its slot, the code goes on until it returns.
 */
export class AsyncPool implements Pool {
  readonly name: 'async' | 'solo';
  readonly canTerminate = false;
  readonly processes: readonly number[] = [process.pid];
  readonly #app: Celery;
  #size: number;

  constructor(app: Celery, size: number, name: 'async' | 'solo' = 'async') {
    this.#app = app;
    this.#size = size;
    this.name = name;
  }

  get size(): number {
    return this.#size;
  }

  run(job: Job, cancellation: Cancellation): Outcome | Promise<Outcome> {
    const accepted = job.accept(this.processes[0] as number);
    if (accepted === true) return trace(this.#app, job.task, job.request, cancellation);
    return this.#runLater(job, cancellation, accepted);
  }

  async #runLater(job: Job, cancellation: Cancellation, accepted: false | Promise<boolean>): Promise<Outcome> {
    return (await accepted) ? trace(this.#app, job.task, job.request, cancellation) : NOT_RUN;
  }

  async resize(size: number): Promise<void> {
    if (this.name === 'async') this.#size = Math.max(1, size);
  }

  info(): Readonly<Record<string, unknown>> {
    return this.name === 'solo'
      ? {
          implementation: 'celeriac.pools:solo',
          'max-concurrency': 1,
          processes: this.processes,
          'max-tasks-per-child': null,
          'put-guarded-by-semaphore': true,
          timeouts: [],
        }
      : {
          implementation: 'celeriac.pools:async',
          'max-concurrency': this.#size,
          processes: this.processes,
          'max-tasks-per-child': 'N/A',
          'put-guarded-by-semaphore': true,
          timeouts: [0, 0],
        };
  }

  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}
