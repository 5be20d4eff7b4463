import { NOT_RUN, runHandler } from 'celeriac/worker';

/** Runs tasks in this event loop; those with the same first argument one after the other. */
export class KeyedPool {
  name = 'keyed';
  canTerminate = false;
  processes = [process.pid];
  #app;
  #last = new Map();

  constructor(app, { concurrency }) {
    this.#app = app;
    this.size = concurrency ?? 10;
  }

  async run(job, cancellation) {
    const [key] = job.request.args;
    if (key === undefined) return this.#now(job, cancellation);
    const now = () => this.#now(job, cancellation);
    const mine = (this.#last.get(key) ?? Promise.resolve()).then(now, now);
    this.#last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === mine) this.#last.delete(key);
    }
  }

  /** Time limits count from `accept` on: not while a task waits for its turn. */
  async #now(job, cancellation) {
    if (!(await job.accept(process.pid))) return NOT_RUN;
    return runHandler(this.#app, job.task, job.request, cancellation);
  }

  async resize(size) {
    this.size = Math.max(1, size);
  }

  info() {
    return { implementation: 'examples:keyed', 'max-concurrency': this.size, processes: this.processes };
  }

  async close() {}
  async [Symbol.asyncDispose]() {}
}
