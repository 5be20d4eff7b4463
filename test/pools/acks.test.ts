import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Celery } from '../../src/index.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { Worker } from '../../src/worker/index.ts';
import { observedTransport } from '../support/observed.ts';
import { until } from '../support/until.ts';
import { ackApp, ackTask, type AckSettings } from './acks-app.ts';

/*
 * Every way a run can end, with every setting that has a say in how its message is settled: what the broker is told,
 * what is stored, what monitors hear. Compared with what Celery 5.6 did (test/fixtures/record-acks.py).
 */

interface Told {
  readonly runs: number;
  readonly settled: readonly string[];
  readonly states: readonly string[];
  readonly events: readonly string[];
}
type Case = AckSettings & Told & { readonly outcome: string };

const recorded = JSON.parse(readFileSync(new URL('../fixtures/celery-5.6-acks.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly Case[];
};
const cases = recorded.cases.filter(({ outcome }) => !outcome.startsWith('connectionLost'));

/** Where we differ, on purpose. */
function intended({ outcome, acksLate, ...told }: Case): Told {
  const { runs, settled, states, events } = told;
  switch (outcome) {
    case 'hardLimit':
      // Celery stores it from two places, so that errbacks are called twice too. Once is enough.
      return { runs, settled, states: states.filter((state, at) => state !== states[at - 1]), events };
    case 'terminated':
      return { runs, settled, states: ['REVOKED'], events };
    case 'reject':
      // Nothing will ever run it again: whoever waits is told (Celery 5.7 does the same).
      return { runs, settled, states: ['FAILURE'], events };
    case 'rejectRequeue':
      // It was acknowledged before, so it cannot go back.
      return acksLate ? { runs, settled, states, events } : { runs, settled, states: ['FAILURE'], events };
    default:
      return { runs, settled, states, events };
  }
}

/** Two runs of one message may overlap, so that only one run's order is certain. */
function comparable({ runs, settled, states, events }: Told, outcome: string): Told {
  const any = (words: readonly string[]): readonly string[] => (outcome === 'retry' ? [...words].sort() : words);
  return { runs, settled: any(settled), states: any(states), events: any(events) };
}

const nameOf = (one: Case): string => `${ackTask(one)} ${one.outcome}`;

const KILLED = ['hardLimit', 'childLost', 'terminated'];

/**
 * Everything, but of the ends that cost a child its life only those on which the settings have a say;
 * `CELERIAC_CHAOS=full` has those in all settings too.
 */
function chosenFor(pool: string): readonly Case[] {
  if (pool === 'async') return cases.filter(({ outcome }) => outcome !== 'childLost');
  if (process.env['CELERIAC_CHAOS'] === 'full') return cases;
  return cases.filter(
    ({ outcome, acksLate, acksOnFailureOrTimeout, rejectOnWorkerLost }) =>
      !KILLED.includes(outcome) ||
      (acksLate && !acksOnFailureOrTimeout && (outcome === 'childLost' || rejectOnWorkerLost)),
  );
}

describe.each(['async', 'thread', 'process'])('pool %s settles as Celery does', (pool) => {
  const chosen = chosenFor(pool);

  test(`in ${chosen.length} cases`, async () => {
    const told = new Map<string, { settled: string[]; states: string[]; events: string[] }>();
    const of = (id: string): { settled: string[]; states: string[]; events: string[] } => {
      const known = told.get(id) ?? { settled: [], states: [], events: [] };
      told.set(id, known);
      return known;
    };
    const app = ackApp({
      broker: observedTransport((id, how) => of(id).settled.push(how)),
      log: silentLogger,
      env: {},
    });
    // Else the broker drops what has expired, and the worker never sees it.
    app.on('beforePublish', ({ properties }) => void delete properties['expiration']);
    const backend = await app.backend();
    const store = backend.store.bind(backend);
    backend.store = (record) => {
      of(record.taskId).states.push(record.status);
      return store(record);
    };
    const worker = new Worker(app, {
      hostname: 'w@acks',
      pool,
      concurrency: pool === 'async' ? 8 : 3,
      appModule: fileURLToPath(new URL('./acks-app.ts', import.meta.url)),
      prefetchMultiplier: 0,
      taskEvents: true,
    });
    const events = app.events();
    const listening = (async () => {
      for await (const event of events) {
        if (event.type.startsWith('task-') && event.type !== 'task-received' && 'uuid' in event)
          of(String(event.uuid)).events.push(event.type);
      }
    })();
    try {
      await worker.start();
      const sent: { readonly one: Case; readonly id: string }[] = [];
      for (const one of chosen)
        sent.push({ one, id: await send(app, one, (id) => of(id).events.includes('task-started')) });
      const found = ({ one, id }: { one: Case; id: string }): Told => {
        const runs = of(id).events.filter((type) => type === 'task-started').length;
        return comparable({ runs, ...of(id) }, one.outcome);
      };
      const enough = ({ one, id }: { one: Case; id: string }): boolean => {
        const wanted = intended(one);
        const { settled, states, events: heard } = of(id);
        return (
          settled.length >= wanted.settled.length &&
          states.length >= wanted.states.length &&
          heard.length >= wanted.events.length
        );
      };
      await until(() => sent.every(enough), { message: 'every case is over', timeoutMs: 120_000 }).catch(() => {});
      const ours = Object.fromEntries(sent.map((each) => [nameOf(each.one), found(each)]));
      const theirs = Object.fromEntries(sent.map(({ one }) => [nameOf(one), comparable(intended(one), one.outcome)]));
      expect(ours).toEqual(theirs);
    } finally {
      await worker.stop('cold');
      await events[Symbol.asyncDispose]();
      await listening;
      await app.close();
    }
  }, 300_000);
});

async function send(app: Celery, one: Case, started: (id: string) => boolean): Promise<string> {
  const { outcome } = one;
  const id = app.random.uuid();
  if (outcome === 'revokedBefore') await app.control.revoke(id, { reply: true, limit: 1, timeout: '10s' });
  await app.send(ackTask(one), [outcome], {
    taskId: id,
    ...(outcome.startsWith('softLimit') && { softTimeLimit: '200ms' }),
    ...(outcome === 'hardLimit' && { timeLimit: '200ms' }),
    ...(outcome === 'expired' && { countdown: '50ms', expires: '1ms' }),
  });
  if (outcome === 'terminated') {
    await until(() => started(id), { message: 'it runs', timeoutMs: 60_000 });
    await app.control.terminate(id, { reply: true, limit: 1, timeout: '10s' });
  }
  return id;
}
