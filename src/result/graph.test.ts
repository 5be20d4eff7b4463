import { expect, test } from 'vitest';
import { createBackend } from '../backends/memory.ts';
import type { ResultBackend } from '../backends/backend.ts';
import { IncompleteStream } from '../errors.ts';
import { fromExceptionRecord } from '../protocol/exception.ts';
import type { ResultTuple } from '../protocol/result.ts';
import { silentLogger } from '../runtime/logger.ts';
import { seededRandom } from '../runtime/random.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { Progress } from './progress.ts';
import { resultFrom } from './result-from.ts';
import type { ResultSource } from './source.ts';

interface Bench {
  readonly source: ResultSource;
  readonly clock: ManualClock;
  store(taskId: string, status: string, result?: unknown, children?: readonly ResultTuple[]): Promise<void>;
}

function setUp(push = true): Bench {
  const clock = new ManualClock();
  const context = { clock, random: seededRandom(1), log: silentLogger };
  const memory = createBackend('memory://', { expiresMs: null, transportOptions: {} }, context);
  const backend = Object.create(memory, {
    capabilities: { value: { ...memory.capabilities, push } },
    load: { value: (id: string) => memory.load(id) },
    watch: { value: (...args: Parameters<ResultBackend['watch']>) => memory.watch(...args) },
  }) as ResultBackend;
  const source: ResultSource = {
    clock,
    backend: () => Promise.resolve(backend),
    toError: ({ result, traceback }) => fromExceptionRecord(result, traceback),
    fromTuple: (tuple) => resultFrom(source, tuple),
    refuseInTask: () => {},
    revoke: () => Promise.resolve(),
    revokeByStamp: () => Promise.resolve(),
  };
  return {
    source,
    clock,
    store: (taskId, status, result = null, children = []) =>
      memory.store({ taskId, status, result, children, traceback: null, dateDone: null }),
  };
}

const leaf = (id: string): ResultTuple => [[id, null], null];

test('a walk ends with an error at what is not ready, or goes past it', async () => {
  const { source, store } = setUp();
  await store('a', 'SUCCESS', 1, [leaf('b'), leaf('c')]);
  await store('c', 'FAILURE', { exc_type: 'ValueError', exc_message: ['no'], exc_module: 'builtins' }, [leaf('d')]);
  const root = resultFrom(source, leaf('a'));
  const ids: string[] = [];
  const walk = async (): Promise<void> => {
    for await (const [, { id }] of root.iterdeps()) ids.push(id);
  };
  await expect(walk()).rejects.toEqual(new IncompleteStream('b'));
  expect(ids).toEqual(['a', 'b']);
  const graph = await root.graph({ intermediate: true });
  expect(graph.nodes.map(({ id, state }) => [id, state])).toEqual([
    ['a', 'SUCCESS'],
    ['b', 'PENDING'],
    ['c', 'FAILURE'],
    ['d', 'PENDING'],
  ]);
  expect(graph.edges).toEqual([
    ['a', 'b'],
    ['a', 'c'],
    ['c', 'd'],
  ]);
  expect(graph.toString()).toBe('a SUCCESS\n  b PENDING\n  c FAILURE\n    d PENDING');
  expect(graph.toDot()).toContain('"c" [label="c FAILURE", shape=box, fillcolor=salmon];');
  expect(graph.toMermaid()).toContain('  n2["c FAILURE"]:::FAILURE\n');
});

test('collect awaits a tree that still grows; a failure in it is thrown, or comes as a value', async () => {
  const { source, store, clock } = setUp();
  const seen: unknown[] = [];
  const reading = (async () => {
    for await (const [{ id }, value] of resultFrom(source, leaf('a')).collect({ propagate: false })) {
      seen.push([id, value instanceof Error ? value.message : value]);
    }
  })();
  await clock.advance(0);
  await store('a', 'SUCCESS', 1, [
    [
      ['g', null],
      [leaf('b'), leaf('c')],
    ],
  ]);
  await clock.advance(0);
  await store('c', 'SUCCESS', 3);
  await store('b', 'FAILURE', { exc_type: 'ValueError', exc_message: ['no'], exc_module: 'builtins' });
  await reading;
  expect(seen).toEqual([
    ['a', 1],
    ['g', [expect.any(Error), 3]],
    ['b', 'no'],
    ['c', 3],
  ]);
  await expect(resultFrom(source, leaf('a')).getLeaf()).rejects.toThrow('no');
});

test('results that name each other as children are walked once', async () => {
  const { source, store } = setUp();
  await store('a', 'SUCCESS', 1, [leaf('b')]);
  await store('b', 'SUCCESS', 2, [leaf('a')]);
  const graph = await resultFrom(source, leaf('a')).graph();
  expect(graph.edges).toEqual([
    ['a', 'b'],
    ['b', 'a'],
  ]);
  expect(graph.toString()).toBe('a SUCCESS\n  b SUCCESS\n    a SUCCESS');
});

test.each([true, false])('progress counts members and parents, and ends with the handle (pushed: %s)', async (push) => {
  const { source, store, clock } = setUp(push);
  const header: ResultTuple = [
    ['g', null],
    [leaf('a'), leaf('b')],
  ];
  const body = resultFrom(source, [['body', header], null]);
  const seen: Progress[] = [];
  const reading = (async () => {
    for await (const one of body.progress()) seen.push(one);
  })();
  await clock.advance('1s');
  await store('a', 'STARTED');
  await store('a', 'SUCCESS');
  await clock.advance('1s');
  await store('b', 'FAILURE', { exc_type: 'E', exc_message: [], exc_module: 'm' });
  await clock.advance('1s');
  await store('b', 'SUCCESS');
  await clock.advance('1s');
  await store('body', 'SUCCESS');
  await clock.advance('1s');
  await reading;
  expect(seen.map(({ successful, failed, total, done }) => [successful, failed, total, done])).toEqual([
    [0, 0, 3, false],
    [1, 0, 3, false],
    [1, 1, 3, false],
    [2, 0, 3, false],
    [3, 0, 3, true],
  ]);
  expect(clock.pending).toBe(0);
});

test('progress ends with the signal, and leaves nothing behind', async () => {
  const { source, clock } = setUp(false);
  const stop = new AbortController();
  const reading = (async () => {
    for await (const _ of resultFrom(source, leaf('a')).progress({ signal: stop.signal }));
  })();
  const ended = expect(reading).rejects.toThrow('enough');
  await clock.advance('1s');
  stop.abort(new Error('enough'));
  await ended;
  await clock.advance(0);
  expect(clock.pending).toBe(0);
});

test('ids of a result and of what came before it', () => {
  const { source } = setUp();
  const handle = resultFrom(source, [['c', [['b', [['a', null], null]], null]], null]);
  expect(handle.asList()).toEqual(['c', 'b', 'a']);
  expect(handle.parents().map(({ id }) => id)).toEqual(['b', 'a']);
});
