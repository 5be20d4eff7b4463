import type { ResultTuple } from '../protocol/result.ts';
import type { ChordStore, ResultBackend, ResultRecord } from '../backends/backend.ts';
import { eventually, quietly } from './eventually.ts';
import { equal, holds, type Runner } from './runner.ts';

/** A backend to put to the test, on a store that nobody else uses. */
export interface BackendSubject {
  readonly backend: ResultBackend;
  /** Another client of the same store; left out where it cannot be shared. */
  readonly second?: ResultBackend | undefined;
  dispose(): Promise<void>;
}

function record(taskId: string, status: string, result: unknown = null): ResultRecord {
  const ready = status === 'SUCCESS' || status === 'FAILURE';
  return {
    taskId,
    status,
    result,
    traceback: null,
    children: [],
    dateDone: ready ? '2026-01-02T03:04:05+00:00' : null,
  };
}

/** What every result backend has to do. Run it against a real store. */
export function backendContract(runner: Runner, name: string, open: () => Promise<BackendSubject>): void {
  let ids = 0;
  const fresh = (): string => `contract-${name}-${++ids}`;
  const check = (what: string, run: (backend: ResultBackend, second: ResultBackend) => Promise<void>) =>
    runner.test(what, async () => {
      const subject = await open();
      try {
        holds(
          subject.second || !subject.backend.capabilities.shared,
          'a shared backend is tested with a second client',
        );
        await run(subject.backend, subject.second ?? subject.backend);
      } finally {
        await subject.backend.close();
        await subject.backend.close();
        await subject.second?.close();
        await subject.dispose();
      }
    });

  runner.describe(`${name} backend`, () => {
    check('loads what was stored', async (backend, second) => {
      const id = fresh();
      equal(await backend.load(id), undefined, 'unknown id');
      const stored: ResultRecord = {
        ...record(id, 'SUCCESS', {
          text: 'ü €\u2028',
          list: [1, 2.5, null],
          deep: { a: { b: true } },
        }),
        children: [[['child', null], null]],
        parentId: 'parent',
        groupId: 'group',
      };
      await backend.store(stored);
      const loaded = await second.load(id);
      holds(loaded, 'expected a record');
      equal([loaded.status, loaded.result, loaded.children], [stored.status, stored.result, stored.children], 'record');
      equal([loaded.taskId, loaded.dateDone], [id, stored.dateDone], 'id and date');
      equal([loaded.parentId, loaded.groupId], ['parent', 'group'], 'parent and group');
    });

    check('loads many in the order asked for', async (backend) => {
      const [a, b, c] = [fresh(), fresh(), fresh()];
      await Promise.all([backend.store(record(a, 'SUCCESS', 1)), backend.store(record(c, 'SUCCESS', 3))]);
      const loaded = await backend.loadMany([c, b, a]);
      equal(
        loaded.map((one) => one?.result ?? null),
        [3, null, 1],
        'results',
      );
    });

    check('never overwrites SUCCESS', async (backend, second) => {
      const id = fresh();
      await backend.store(record(id, 'STARTED'));
      await backend.store(record(id, 'SUCCESS', 'first'));
      await second.store(
        record(id, 'FAILURE', {
          exc_type: 'E',
          exc_message: ['no'],
          exc_module: 'x',
        }),
      );
      await backend.store(record(id, 'STARTED'));
      await second.store(record(id, 'SUCCESS', 'second'));
      const loaded = await backend.load(id);
      equal([loaded?.status, loaded?.result], ['SUCCESS', 'first'], 'record');
    });

    check('any other state is overwritten', async (backend) => {
      const id = fresh();
      for (const status of ['PENDING', 'RETRY', 'FAILURE', 'STARTED', 'SUCCESS']) {
        await backend.store(record(id, status, status));
        equal((await backend.load(id))?.status, status, 'status');
      }
    });

    check('a watch tells the present record first, then every later one', async (backend, second) => {
      const id = fresh();
      await backend.store(record(id, 'STARTED'));
      const seen: string[] = [];
      const watch = backend.watch(id, ({ status }) => void seen.push(status));
      await watch.ready;
      await eventually(() => seen.length >= 1, 'the present record');
      equal(seen[0], 'STARTED', 'first');
      await second.store(record(id, 'PROGRESS', { done: 1 }));
      await second.store(record(id, 'SUCCESS', 1));
      await eventually(() => seen.at(-1) === 'SUCCESS', 'the last record');
      watch.close();
      watch.close();
    });

    check('no wake-up is lost between storing and watching', async (backend, second) => {
      const all = Array.from({ length: 200 }, fresh);
      const done = new Set<string>();
      const watches = all.map((id, i) => {
        if (i % 2 === 0) void second.store(record(id, 'SUCCESS', i));
        const watch = backend.watch(id, ({ status, taskId }) => void (status === 'SUCCESS' && done.add(taskId)));
        if (i % 2 === 1) void second.store(record(id, 'SUCCESS', i));
        return watch;
      });
      await eventually(() => done.size === all.length, 'all 200 results');
      for (const watch of watches) watch.close();
    });

    check('a closed watch is silent', async (backend) => {
      const id = fresh();
      let calls = 0;
      const watch = backend.watch(id, () => calls++);
      await watch.ready;
      watch.close();
      await backend.store(record(id, 'SUCCESS'));
      await quietly();
      equal(calls, 0, 'calls');
    });

    check('forgets', async (backend) => {
      const id = fresh();
      await backend.store(record(id, 'SUCCESS', 1));
      await backend.forget(id);
      await backend.forget(id);
      equal(await backend.load(id), undefined, 'record');
    });

    check('saves, loads and deletes groups', async (backend, second) => {
      const id = fresh();
      const group = [
        [id, null],
        [
          [['a', null], null],
          [['b', null], null],
        ],
      ] as const;
      equal(await backend.loadGroup(id), undefined, 'unknown group');
      await backend.saveGroup(id, group);
      equal(await second.loadGroup(id), group, 'group');
      await backend.deleteGroup(id);
      equal(await second.loadGroup(id), undefined, 'deleted group');
    });

    check('concurrent writers leave one whole record each', async (backend, second) => {
      const all = Array.from({ length: 50 }, fresh);
      await Promise.all(
        all.flatMap((id, i) => [
          backend.store(record(id, 'STARTED', 'x'.repeat(i))),
          second.store(record(id, 'SUCCESS', i)),
          backend.store(record(id, 'RETRY', 'y')),
        ]),
      );
      const loaded = await second.loadMany(all);
      equal(
        loaded.map((one) => [one?.status, one?.result]),
        all.map((_, i) => ['SUCCESS', i]),
        'records',
      );
    });

    check('counts each member of a chord once; the one that completes it owns the body', async (backend, second) => {
      if (backend.capabilities.chord !== 'native') return;
      const [first, other] = [backend.chords, second.chords];
      holds(first && other, 'a backend that counts chords natively has `chords`');
      const id = fresh();
      const part = (n: number, state: string, result: unknown) => ({
        taskId: `${id}-${n}`,
        index: n,
        state,
        result,
      });
      const group: ResultTuple = [[id, null], []];
      equal(await first.add(id, part(2, 'SUCCESS', 'c'), 'one run'), undefined, 'before the size is known');
      await first.begin(id, 3, group);
      equal(await other.add(id, part(2, 'SUCCESS', 'again'), 'one run'), undefined, 'the same member again');
      equal(await other.add(id, part(0, 'FAILURE', 'no'), 'one run'), undefined, 'two of three');
      await other.grow(id, `${id}-3`, 1);
      await first.grow(id, `${id}-3`, 1);
      equal(await first.add(id, part(1, 'SUCCESS', 'b'), 'one run'), undefined, 'three of four');
      equal(
        await other.add(id, part(0, 'SUCCESS', 'a'), 'one run'),
        undefined,
        'a run that went better replaces the other',
      );
      const added = { ...part(3, 'SUCCESS', 'd'), index: null };
      const members = await first.add(id, added, 'one run');
      const seen = (all: typeof members) =>
        typeof all === 'string' ? all : all?.map(({ taskId, state, result }) => [taskId, state, result]);
      const whole = ['a', 'b', 'c', 'd'].map((value, n) => [`${id}-${n}`, 'SUCCESS', value]);
      equal(seen(members), whole, 'members in order');
      equal(await other.add(id, part(1, 'SUCCESS', 'b'), 'one run'), undefined, 'another member after the last one');
      equal(seen(await other.add(id, added, 'one run')), whole, 'the last one, asking again');
      equal(await other.add(id, added, 'another run'), 'claimed', 'the last one, delivered again meanwhile');
      await other.end(id);
      equal(await first.add(id, added, 'one run'), undefined, 'after the end');
      await first.begin(id, 1, group);
      equal((await first.add(id, part(0, 'SUCCESS', 'x'), 'one run'))?.length, 1, 'begun again');
    });

    check('counts the members of a chord that end at once', async (backend, second) => {
      if (backend.capabilities.chord !== 'native') return;
      const id = fresh();
      await backend.chords?.begin(id, 40, [[id, null], []]);
      const answers = await Promise.all(
        Array.from({ length: 80 }, (_, n) =>
          ((n % 2 ? backend : second).chords as ChordStore).add(
            id,
            {
              taskId: `${id}-${n % 40}`,
              index: n % 40,
              state: 'SUCCESS',
              result: n % 40,
            },
            `run ${n}`,
          ),
        ),
      );
      const owners = new Set(answers.filter((answer) => Array.isArray(answer)).map((answer) => JSON.stringify(answer)));
      equal(owners.size, 1, 'different answers');
      equal(
        answers.find((answer) => Array.isArray(answer))?.map(({ result }) => result),
        Array.from({ length: 40 }, (_, n) => n),
        'members',
      );
    });

    check('keeps a large value', async (backend) => {
      const id = fresh();
      const value = 'é'.repeat(500_000);
      await backend.store(record(id, 'SUCCESS', value));
      holds((await backend.load(id))?.result === value, 'the value came back changed');
    });
  });
}
