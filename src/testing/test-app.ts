import { Celery, type CeleryOptions } from '../app/celery.ts';
import { UsageError } from '../errors.ts';
import { Worker, type WorkerOptions } from '../worker/index.ts';

/**
 * An app for one test: broker and results in memory, nothing read from the environment. Close it, or use `await using`.
 *
 * @example
 * await using app = testApp();
 */
export function testApp(options: CeleryOptions = {}): Celery {
  return new Celery({ broker: 'memory://', backend: 'memory://', env: {}, ...options });
}

/**
 * An app whose calls run at once, in the caller, through the serializer both ways a message would go: what could not be
 * sent fails here too. Errors of tasks are thrown. Limits: no broker, so no queues, no countdown, no time limits.
 */
export function eagerApp(options: CeleryOptions = {}): Celery {
  return testApp({ taskAlwaysEager: true, taskEagerPropagates: true, ...options });
}

export interface TestWorker extends AsyncDisposable {
  readonly worker: Worker;
  /** Stops warm: what runs is finished. Harmless twice. */
  stop(): Promise<void>;
}

/** Names of workers of one app; two of them must not answer to one. */
const counts = new WeakMap<Celery, number>();

/**
 * A real worker in this process. It consumes when the promise resolves; `await using` stops it.
 * @param options one task at a time in this event loop, and no heartbeat, unless they say otherwise
 * @throws {UsageError} for an app that runs its tasks eagerly: no message would reach the worker
 *
 * @example
 * await using app = testApp();
 * const add = app.task('add', (x: number, y: number) => x + y);
 * await using _ = await testWorker(app);
 * expect(await (await add.delay(2, 3)).get()).toBe(5);
 *
 * Source: `celery.contrib.testing.worker.start_worker`.
 */
export async function testWorker(app: Celery, options: WorkerOptions = {}): Promise<TestWorker> {
  if (app.conf.taskAlwaysEager) {
    throw new UsageError(
      'testWorker: taskAlwaysEager is on, so that nothing reaches a worker: use testApp() without it',
    );
  }
  const count = (counts.get(app) ?? 0) + 1;
  counts.set(app, count);
  const worker = new Worker(app, {
    hostname: `test${count}@localhost`,
    pool: 'async',
    concurrency: 1,
    withoutHeartbeat: true,
    ...options,
  });
  await worker.start();
  const stop = (): Promise<void> => worker.stop();
  return { worker, stop, [Symbol.asyncDispose]: stop };
}
