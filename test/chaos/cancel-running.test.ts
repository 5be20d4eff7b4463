import { describe, expect, test } from 'vitest';
import type { CeleryError } from '../../src/index.ts';
import { missing } from '../support/available.ts';
import { pythonResults } from '../support/python.ts';
import { until } from '../support/until.ts';
import { full, missingStore, openFleet, type PoolName, type StoreName } from './fleet.ts';

/*
 * Ending what runs (users 10): code that listens to its signal, code that does not, and code that never yields, by time limits
 * and by revocation. `CELERIAC_CHAOS=full` has every store with every pool. Each reason is in cancel.test.ts.
 */

const ALL: readonly (readonly [StoreName, PoolName])[] = (['sqlite', 'redis', 'rabbitmq'] as const).flatMap((store) =>
  (['async', 'thread', 'process'] as const).map((pool) => [store, pool] as const),
);
const SOME: typeof ALL = [
  ['redis', 'process'],
  ['sqlite', 'async'],
];
const FOREVER_MS = 3_600_000;

describe.each(full ? ALL : SOME)('ending what runs on %s, pool %s', (store, pool) => {
  test.skipIf(missingStore(store))(
    'limits and revocations end it, the next task has its slot, and Python reads why',
    { timeout: 240_000 },
    async () => {
      const fleet = await openFleet(store, { pool, concurrency: 3, settings: { taskTimeLimit: 600 } });
      const { app, ledger } = fleet;
      const worker = await fleet.worker();
      const inline = pool === 'async';
      if (inline) expect(worker.text()).toMatch(/a hard time limit cannot end code in this pool/);
      else expect(worker.text()).not.toMatch(/cannot end code/);

      const kinds = inline ? ['fetches', 'ignores'] : ['fetches', 'ignores', 'blocks'];
      const argumentsOf = (kind: string, id: string): unknown[] =>
        kind === 'fetches' ? [`${id}-${kind}`] : [`${id}-${kind}`, FOREVER_MS];
      const codeOf = (promise: Promise<unknown>): Promise<string | undefined> =>
        promise.then(
          () => undefined,
          (error: unknown) => (error as CeleryError).code,
        );
      const limits = { timeLimit: '2s', softTimeLimit: '1s' } as const;
      const limited = await Promise.all(kinds.map((kind) => app.send(kind, argumentsOf(kind, 'limited'), limits)));
      const codes = await Promise.all(limited.map((one) => codeOf(one.get({ timeout: '60s' }))));
      // Who listens is told by the soft limit and may end by itself.
      expect(codes).toEqual(['ERR_SOFT_TIME_LIMIT', ...kinds.slice(1).map(() => 'ERR_TIME_LIMIT')]);

      const running = await Promise.all(kinds.map((kind) => app.send(kind, argumentsOf(kind, 'revoked'))));
      const begun = 2 * kinds.length;
      await until(() => fleet.starts().length === begun, { message: 'they run', timeoutMs: 60_000 });
      await Promise.all(running.map((one) => one.revoke({ terminate: true })));
      for (const one of running) expect(await codeOf(one.get({ timeout: '60s' }))).toBe('ERR_TASK_REVOKED');

      await Promise.all(['a', 'b', 'c'].map((id) => app.send('work', [id, 1])));
      await until(() => ledger.lost(['a', 'b', 'c']).length === 0, {
        message: 'their slots are used again',
        timeoutMs: 60_000,
      });
      expect(
        ledger.lost([...kinds.map((kind) => `limited-${kind}`), ...kinds.map((kind) => `revoked-${kind}`)]),
      ).toEqual([...kinds.map((kind) => `limited-${kind}`), ...kinds.map((kind) => `revoked-${kind}`)]);
      if (store === 'redis' && missing('python') === undefined) {
        const asked = [...limited, ...running].map(({ id }) => ({ op: 'facts', id }));
        const seen = (await pythonResults(fleet.store, asked)) as {
          readonly state: string;
          readonly result: unknown[];
        }[];
        const told = seen.map(({ state, result }) => [state, result[0]]);
        expect(told).toEqual([
          ['FAILURE', 'SoftTimeLimitExceeded'],
          ...kinds.slice(1).map(() => ['FAILURE', 'TimeLimitExceeded']),
          ...kinds.map(() => ['REVOKED', 'TaskRevokedError']),
        ]);
      }
    },
  );
});
