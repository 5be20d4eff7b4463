import { expect, test } from 'vitest';
import type { ResultRecord } from '../backends/backend.ts';
import { createBackend } from '../backends/memory.ts';
import { OperationalError, ResultTimeoutError, UsageError } from '../errors.ts';
import { fromExceptionRecord } from '../protocol/exception.ts';
import { silentLogger } from '../runtime/logger.ts';
import { seededRandom } from '../runtime/random.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { resultFrom } from './result-from.ts';
import { RetryingBackend } from './retrying-backend.ts';
import type { ResultSource } from './source.ts';
import { compareStates, precedence } from './states.ts';
import { TaskResult } from './task-result.ts';

function record(taskId: string, status: string, result: unknown = null): ResultRecord {
  return { taskId, status, result, traceback: null, children: [], dateDone: null };
}
const failed = { exc_type: 'ValueError', exc_message: ['bad'], exc_module: 'builtins' };

interface Bench {
  readonly source: ResultSource;
  readonly clock: ManualClock;
  readonly revoked: string[];
  readonly store: (taskId: string, status: string, result?: unknown) => Promise<void>;
}

function setUp({ push = true, inTask = false } = {}): Bench {
  const clock = new ManualClock();
  const context = { clock, random: seededRandom(1), log: silentLogger };
  const memory = createBackend('memory://', { expiresMs: null, transportOptions: {} }, context);
  const backend = push
    ? memory
    : new Proxy(memory, {
        get(target, name): unknown {
          if (name === 'capabilities') return { ...target.capabilities, push: false };
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
  const revoked: string[] = [];
  const source: ResultSource = {
    clock,
    backend: () => Promise.resolve(backend),
    toError: ({ result, traceback }) => fromExceptionRecord(result, traceback),
    fromTuple: (tuple) => resultFrom(source, tuple),
    refuseInTask: () => {
      if (inTask) throw new UsageError('in a task');
    },
    revoke: async (ids) => void revoked.push(...ids),
    revokeByStamp: async (stamps) => void revoked.push(JSON.stringify(stamps)),
  };
  return { source, clock, revoked, store: (id, status, result) => memory.store(record(id, status, result)) };
}

test.each([true, false])('get() waits for the value (backend pushes: %s)', async (push) => {
  const { source, clock, store } = setUp({ push });
  const value = new TaskResult<number>(source, 'a').get({ interval: '0.5s' });
  await clock.advance('0.6s');
  await store('a', 'STARTED');
  await store('a', 'SUCCESS', 7);
  await clock.advance('1s');
  expect(await value).toBe(7);
  expect(clock.pending).toBe(0);
});

test.each([true, false])('get() ends by its timeout and leaves nothing behind (backend pushes: %s)', async (push) => {
  const { source, clock } = setUp({ push });
  const done = new TaskResult(source, 'a').get({ timeout: '2s' }).catch((error: unknown) => error);
  await clock.advance('2s');
  expect(await done).toBeInstanceOf(ResultTimeoutError);
  expect(clock.pending).toBe(0);
});

test('get() ends with the signal', async () => {
  const { source, clock } = setUp();
  const stop = new AbortController();
  const done = new TaskResult(source, 'a').get({ signal: stop.signal }).catch((error: unknown) => error);
  await clock.advance(0);
  stop.abort(new Error('enough'));
  expect(await done).toMatchObject({ message: 'enough' });
});

test('a failure is thrown, or returned where it is asked for', async () => {
  const { source, store } = setUp();
  await store('a', 'FAILURE', failed);
  await expect(new TaskResult(source, 'a').get()).rejects.toMatchObject({ type: 'ValueError', args: ['bad'] });
  expect(await new TaskResult(source, 'a').get({ propagate: false })).toMatchObject({ type: 'ValueError' });
});

test('a failed parent ends the wait', async () => {
  const { source, store, clock } = setUp();
  const parent = new TaskResult(source, 'parent');
  const done = new TaskResult(source, 'child', parent).get().catch((error: unknown) => error);
  await clock.advance(0);
  await store('parent', 'FAILURE', failed);
  expect(await done).toMatchObject({ type: 'ValueError' });
});

test('waiting in a task is refused unless allowed', async () => {
  const { source, store } = setUp({ inTask: true });
  await store('a', 'SUCCESS', 1);
  await expect(new TaskResult(source, 'a').get()).rejects.toThrow('in a task');
  expect(await new TaskResult(source, 'a').get({ allowInTask: true })).toBe(1);
});

test('updates come in order and end with the final state', async () => {
  const { source, store, clock } = setUp();
  const seen: unknown[] = [];
  const reader = (async () => {
    for await (const update of new TaskResult(source, 'a').updates()) seen.push(update);
  })();
  await clock.advance(0);
  await store('a', 'STARTED', { pid: 5, hostname: 'celery@h' });
  await store('a', 'PROGRESS', { current: 1 });
  await store('a', 'RETRY', failed);
  await store('a', 'SUCCESS', 'v');
  await reader;
  expect(seen).toMatchObject([
    { state: 'STARTED', worker: 'celery@h', pid: 5 },
    { state: 'CUSTOM', name: 'PROGRESS', meta: { current: 1 } },
    { state: 'RETRY', error: { type: 'ValueError' } },
    { state: 'SUCCESS', value: 'v' },
  ]);
});

test('a handle survives serialization with parents and members', () => {
  const { source } = setUp();
  const tuples = [
    [['a', null], null],
    [['a', [['p', null], null]], null],
    [
      ['g', [['p', null], null]],
      [
        [['a', null], null],
        [['b', null], null],
      ],
    ],
  ] as const;
  for (const tuple of tuples) expect(resultFrom(source, tuple).toJSON()).toEqual(tuple);
  expect(resultFrom(source, ['short', null]).toJSON()).toEqual([['short', null], null]);
});

test('revoking a group is one broadcast', async () => {
  const { source, revoked } = setUp();
  const members = [
    [['a', null], null],
    [['b', null], null],
  ] as const;
  await resultFrom(source, [['g', null], members]).revoke();
  expect(revoked).toEqual(['a', 'b']);
});

test('a group rejects with its first failure', async () => {
  const { source, store } = setUp();
  await store('b', 'FAILURE', failed);
  const members = [
    [['a', null], null],
    [['b', null], null],
  ] as const;
  const group = resultFrom(source, [['g', null], members]);
  await expect(group.get()).rejects.toMatchObject({ type: 'ValueError' });
  expect(await group.failed()).toBe(true);
});

test('states sort as Celery orders them', () => {
  const states = ['PENDING', 'RETRY', 'PROGRESS', 'SUCCESS', 'REVOKED', 'STARTED', 'FAILURE', 'RECEIVED', 'REJECTED'];
  expect(states.sort(compareStates)).toEqual([
    'SUCCESS',
    'FAILURE',
    'PROGRESS',
    'REVOKED',
    'STARTED',
    'RECEIVED',
    'REJECTED',
    'RETRY',
    'PENDING',
  ]);
  expect(precedence('ANYTHING')).toBe(precedence('PROGRESS'));
});

test('an outage of the backend is waited out; other errors are not', async () => {
  const clock = new ManualClock();
  const context = { clock, random: seededRandom(1), log: silentLogger };
  const inner = createBackend('memory://', { expiresMs: null, transportOptions: {} }, context);
  let outage = 3;
  const store = inner.store.bind(inner);
  inner.store = (one) =>
    outage-- > 0 ? Promise.reject(new OperationalError('down', { recoverable: true })) : store(one);
  const backend = new RetryingBackend(inner, { maxRetries: Infinity, baseMs: 10, capMs: 10_000, ...context });
  const stored = backend.store(record('a', 'SUCCESS', 1));
  await clock.advance('1s');
  await stored;
  expect(await backend.load('a')).toMatchObject({ status: 'SUCCESS' });
  outage = Infinity;
  const never = backend.store(record('b', 'SUCCESS')).catch((error: unknown) => error);
  await clock.advance('1h');
  await backend.close();
  expect(await never).toMatchObject({ message: 'down' });
  expect(clock.pending).toBe(0);
});
