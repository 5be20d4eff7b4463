import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { deferred } from '../../src/runtime/deferred.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { faultProxy } from '../support/fault-proxy.ts';
import { until } from '../support/until.ts';

/*
 * What becomes of a task whose worker loses its connection, beside what Celery made of it
 * (test/fixtures/record-acks.py). Differs: a late-ack task keeps its message across the reconnect and runs once,
 * where Celery's runs twice; and where it is cancelled no RETRY is stored, because another worker may have ended it.
 */

interface Case {
  readonly acksLate: boolean;
  readonly acksOnFailureOrTimeout: boolean;
  readonly rejectOnWorkerLost: boolean;
  readonly outcome: string;
  readonly runs: number;
  readonly states: readonly string[];
  readonly events: readonly string[];
}

const { cases } = JSON.parse(readFileSync(new URL('../fixtures/celery-5.6-acks.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly Case[];
};

function recorded(outcome: string, late: boolean): Omit<Case, 'settled'> {
  const found = cases.find((one) => one.outcome === outcome && one.acksLate === late && one.acksOnFailureOrTimeout);
  if (!found) throw new Error(`${outcome} was not recorded`);
  return found;
}

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

describe.skipIf(missing('redis') !== undefined)('a connection that breaks while tasks run', () => {
  test.each([false, true])('workerCancelLongRunningTasksOnConnectionLoss %s', async (cancel) => {
    const server = await startRedis();
    closers.push(() => server.stop());
    const proxy = await faultProxy(server.port);
    closers.push(() => proxy.close());
    const app = new Celery({
      preset: 'celery',
      broker: `redis://127.0.0.1:${proxy.port}/0`,
      backend: server.url(1),
      log: silentLogger,
      env: {},
      workerCancelLongRunningTasksOnConnectionLoss: cancel,
    });
    closers.push(() => app.close());
    const go = deferred<void>();
    const told = new Map<string, { states: string[]; events: string[] }>();
    const reasons: unknown[] = [];
    const of = (id: string): { states: string[]; events: string[] } => {
      const known = told.get(id) ?? { states: [], events: [] };
      told.set(id, known);
      return known;
    };
    for (const acksLate of [true, false]) {
      app.task(`late-${acksLate}`, { bind: true, acksLate }, async (ctx) => {
        ctx.signal.addEventListener('abort', () => void reasons.push((ctx.signal.reason as Error).name));
        await go.promise;
        return 'done';
      });
    }
    const backend = await app.backend();
    const store = backend.store.bind(backend);
    backend.store = (record) => (of(record.taskId).states.push(record.status), store(record));
    const listener = new Celery({ broker: server.url(0), log: silentLogger, env: {} });
    closers.push(() => listener.close());
    const events = listener.events();
    closers.push(() => events[Symbol.asyncDispose]());
    void (async () => {
      for await (const event of events) {
        if (event.type.startsWith('task-') && event.type !== 'task-received' && 'uuid' in event) {
          of(String(event.uuid)).events.push(event.type);
        }
      }
    })();
    const worker = new Worker(app, { hostname: 'w@acks', concurrency: 4, taskEvents: true });
    closers.push(() => worker.stop('cold'));
    await worker.start();
    const late = (await app.send('late-true')).id;
    const early = (await app.send('late-false')).id;
    await until(() => of(late).events.length === 1 && of(early).events.length === 1, { message: 'both run' });
    const connects = worker.vitals?.connects ?? 0;
    proxy.reset();
    await until(() => (worker.vitals?.connects ?? 0) > connects, { message: 'the worker is back', timeoutMs: 30_000 });
    const runsOf = (id: string): number => of(id).events.filter((type) => type === 'task-started').length;
    if (cancel) await until(() => runsOf(late) === 2, { message: 'it runs again', timeoutMs: 30_000 });
    go.resolve();
    await until(() => [late, early].every((id) => of(id).events.includes('task-succeeded')), { message: 'both end' });

    const outcome = cancel ? 'connectionLostCancel' : 'connectionLost';
    const theirs = recorded(outcome, false);
    expect({ runs: runsOf(early), ...of(early) }).toEqual({
      runs: theirs.runs,
      states: theirs.states,
      events: theirs.events,
    });
    const theirLate = recorded(outcome, true);
    expect({ runs: runsOf(late), ...of(late) }).toEqual(
      cancel
        ? { runs: theirLate.runs, states: ['SUCCESS'], events: theirLate.events }
        : { runs: 1, states: ['SUCCESS'], events: ['task-started', 'task-succeeded'] },
    );
    expect(reasons).toEqual(cancel ? ['ConnectionLost'] : []);
  });
});
