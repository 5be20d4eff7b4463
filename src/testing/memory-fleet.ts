import { Celery, type CeleryOptions } from '../index.ts';
import { Worker, type WorkerOptions } from '../worker/index.ts';

/** Apps on the broker in memory, each with a worker; ends them together. */
export class MemoryFleet {
  readonly #opened: { readonly app: Celery; readonly worker: Worker }[] = [];
  readonly #options: WorkerOptions;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** @param define adds tasks before the worker starts */
  async start(define: (app: Celery) => void, options: CeleryOptions = {}): Promise<Celery> {
    const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, ...options });
    define(app);
    const worker = new Worker(app, this.#options);
    this.#opened.push({ app, worker });
    await worker.start();
    return app;
  }

  async stop(): Promise<void> {
    for (const { app, worker } of this.#opened.splice(0)) {
      await worker.stop('cold');
      await app.close();
    }
  }
}
