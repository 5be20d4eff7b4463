import { getHeapStatistics } from 'node:v8';
import { isMainThread, parentPort, Worker, type MessagePort } from 'node:worker_threads';
import { ChildRunner, type ParentLink } from './child-runner.ts';
import { openInspector } from '../runtime/inspector.ts';
import { silentLogger } from '../runtime/logger.ts';
import { WATCHER_CODE } from './watcher.ts';
import type { ToChild, ToParent } from './wire.ts';

/*
 * Entry of a pool's children, process and thread alike. Started by `process-member.ts` and `thread-member.ts`.
 */

/** A worker that is started in here would start children that start workers. */
Object.defineProperty(globalThis, Symbol.for('celeriac.pool-child'), { value: true });

/** Everything of one tick in one message. */
class Outbox {
  readonly #post: (batch: readonly ToParent[], sent?: () => void) => void;
  #batch: ToParent[] = [];

  constructor(post: (batch: readonly ToParent[], sent?: () => void) => void) {
    this.#post = post;
  }

  readonly add = (message: ToParent): void => {
    if (this.#batch.push(message) === 1) setImmediate(() => this.flush());
  };

  flush(sent?: () => void): void {
    const batch = this.#batch;
    this.#batch = [];
    if (batch.length > 0 || sent) this.#post(batch, sent);
  }
}

function processLink(): ParentLink {
  const outbox = new Outbox((batch, sent) => {
    if (process.connected) process.send?.(batch, undefined, undefined, () => sent?.());
    else sent?.();
  });
  return {
    send: outbox.add,
    flush: () => outbox.flush(),
    memoryKb: () => process.memoryUsage.rss() / 1024,
    leave: () => outbox.flush(() => process.exit(0)),
  };
}

function threadLink(port: MessagePort): ParentLink {
  const outbox = new Outbox((batch, sent) => {
    port.postMessage(batch);
    sent?.();
  });
  return {
    send: outbox.add,
    flush: () => outbox.flush(),
    memoryKb: () => getHeapStatistics().used_heap_size / 1024,
    leave: () => outbox.flush(() => process.exit(0)),
  };
}

/** Ends this process once its parent is gone, also while a task blocks the event loop and nothing else can notice. */
function watchParent(parent: number): void {
  const resourceLimits = { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2 };
  new Worker(WATCHER_CODE, { eval: true, workerData: parent, execArgv: [], resourceLimits }).unref();
}

if (isMainThread) {
  // Ctrl-C and a supervisor's SIGTERM reach the whole group: the parent decides what becomes of its children.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP'] as const) process.on(signal, () => {});
  // Node would open its inspector on the port of everybody else's.
  process.on('SIGUSR1', () => {});
  // Node itself says where on stderr.
  if (process.env['CELERY_RDBSIG']) process.on('SIGUSR2', () => void openInspector(process.env, silentLogger));
  process.on('disconnect', () => process.exit(0));
  watchParent(Number(process.argv[2]));
  const { receive } = new ChildRunner(processLink());
  process.on('message', (batch) => receive(batch as readonly ToChild[]));
} else if (parentPort) {
  const { receive } = new ChildRunner(threadLink(parentPort));
  parentPort.on('message', (batch) => receive(batch as readonly ToChild[]));
}
