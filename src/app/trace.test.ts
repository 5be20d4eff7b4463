import { afterEach, expect, test } from 'vitest';
import * as z from 'zod';
import { Ignore, Reject, Retry, SoftTimeLimitExceeded } from '../errors.ts';
import { Celery } from './celery.ts';
import { NO_EMBED, taskRequest, type TaskRequest } from './request.ts';
import { trace, type Outcome } from './trace.ts';

const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {} });
const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

let names = 0;
const fresh = (): string => `t${++names}`;

function request(task: string, args: readonly unknown[], more: Partial<TaskRequest> = {}): TaskRequest {
  const headers = {
    lang: 'py',
    task,
    id: 'id-1',
    shadow: null,
    eta: null,
    expires: null,
    group: null,
    group_index: null,
    retries: 0,
    timelimit: [null, null] as const,
    root_id: 'root',
    parent_id: null,
    argsrepr: '()',
    kwargsrepr: '{}',
    origin: 'gen1@h',
    ignore_result: false,
    replaced_task_nesting: 0,
    stamped_headers: null,
    stamps: {},
    'x-mine': 1,
  };
  const deliveryInfo = { exchange: '', routingKey: 'celery', priority: 0, redelivered: false };
  return { ...taskRequest(headers, { args, kwargs: {}, embed: NO_EMBED }, { deliveryInfo }), ...more };
}

async function run(
  task: { name: string },
  args: readonly unknown[] = [],
  more: Partial<TaskRequest> = {},
): Promise<Outcome> {
  const found = app.tasks.get(task.name);
  if (found === undefined) throw new Error(`no task ${task.name}`);
  return trace(app, found, request(task.name, args, more), { signal: new AbortController().signal });
}

test('hooks and signals surround the body in order', async () => {
  const order: string[] = [];
  const task = app.task(fresh(), { hooks: { beforeStart: () => order.push('beforeStart') } }, () => {
    order.push('body');
    return 1;
  });
  stops.push(app.on('taskPrerun', () => order.push('prerun'), { sender: task.name }));
  stops.push(app.on('taskPostrun', ({ state, retval }) => order.push(`postrun ${state} ${String(retval)}`)));
  expect(await run(task)).toEqual({ kind: 'success', value: 1, children: [] });
  expect(order).toEqual(['prerun', 'beforeStart', 'body', 'postrun SUCCESS 1']);
});

test('a failing beforeStart fails the task', async () => {
  const hooks = {
    beforeStart: () => {
      throw new Error('not now');
    },
  };
  expect(await run(app.task(fresh(), { hooks }, () => 1))).toMatchObject({
    kind: 'failure',
    error: { message: 'not now' },
  });
});

test('errors become records, and say whether they were expected', async () => {
  class NotFound extends Error {}
  const task = app.task(fresh(), { throws: [NotFound] }, (expected: boolean) => {
    throw expected ? new NotFound('gone') : new TypeError('bad');
  });
  expect(await run(task, [true])).toMatchObject({
    kind: 'failure',
    expected: true,
    record: { exc_type: 'NotFound', exc_message: ['gone'], exc_module: 'js.errors' },
  });
  const failure = await run(task, [false]);
  expect(failure).toMatchObject({ expected: false, record: { exc_type: 'TypeError', exc_module: 'builtins' } });
  expect(failure).toHaveProperty('traceback', expect.stringMatching(/^Traceback[^]*TypeError: bad\n$/));
});

test('Ignore, Reject and Retry are outcomes of their own', async () => {
  const raise = app.task(fresh(), (what: () => Error) => {
    throw what();
  });
  expect(await run(raise, [() => new Ignore('why')])).toEqual({ kind: 'ignore', reason: 'why' });
  expect(await run(raise, [() => new Reject('no', { requeue: true })])).toEqual({
    kind: 'reject',
    requeue: true,
    reason: 'no',
  });
  expect(await run(raise, [() => new Retry('x', { whenMs: 5000 })])).toMatchObject({
    kind: 'retry',
    retry: { etaMs: 5000 },
  });
});

test('a retry says when, why, and which run it is', async () => {
  const task = app.task(fresh(), { bind: true, defaultRetryDelay: '90s' }, (ctx, queue?: string) => {
    throw ctx.retry({ cause: new RangeError('busy'), ...(queue === undefined ? {} : { queue, args: [1] }) });
  });
  const before = app.clock.now();
  const outcome = await run(task, [], { retries: 2 });
  expect(outcome).toMatchObject({
    kind: 'retry',
    retry: { retries: 3, message: "Retry in 90s: RangeError('busy')", args: [], options: {} },
    record: { exc_type: 'RangeError', exc_message: ['busy'] },
  });
  expect(outcome.kind === 'retry' && (outcome.retry.etaMs as number) - before >= 90_000).toBe(true);
  expect(await run(task, ['slow'])).toMatchObject({ retry: { args: [1], options: { queue: 'slow' } } });
});

test('without a cause the last retry fails with MaxRetriesExceededError', async () => {
  const task = app.task(fresh(), { bind: true, maxRetries: 1 }, (ctx) => {
    throw ctx.retry();
  });
  expect(await run(task, [], { retries: 1 })).toMatchObject({
    kind: 'failure',
    record: {
      exc_type: 'MaxRetriesExceededError',
      exc_module: 'celery.exceptions',
      exc_message: [`Can't retry ${task.name}[id-1] args:() kwargs:{}`],
    },
  });
});

test('maxRetries null retries without end', async () => {
  const task = app.task(fresh(), { autoretryFor: [Error], maxRetries: null }, () => {
    throw new Error('again');
  });
  expect(await run(task, [], { retries: 1000 })).toMatchObject({ kind: 'retry', retry: { retries: 1001 } });
});

test('errors that are excluded, and those that end the run on purpose, are not retried', async () => {
  const task = app.task(
    fresh(),
    { autoretryFor: (error) => error instanceof Error, dontAutoretryFor: [RangeError] },
    (error: () => Error) => {
      throw error();
    },
  );
  expect(await run(task, [() => new RangeError('no')])).toMatchObject({ kind: 'failure' });
  expect(await run(task, [() => new Ignore()])).toMatchObject({ kind: 'ignore' });
  expect(await run(task, [() => new TypeError('yes')])).toMatchObject({ kind: 'retry' });
});

test('an abort shows what aborted it', async () => {
  const task = app.task(fresh(), { bind: true }, async (ctx) => {
    await new Promise((_, reject) => {
      ctx.signal.addEventListener('abort', () => reject(new DOMException('This operation was aborted', 'AbortError')));
    });
  });
  const stop = new AbortController();
  const found = app.tasks.get(task.name);
  if (found === undefined) throw new Error('not registered');
  const outcome = trace(app, found, request(task.name, []), { signal: stop.signal });
  stop.abort(new SoftTimeLimitExceeded());
  expect(await outcome).toMatchObject({
    kind: 'failure',
    record: { exc_type: 'SoftTimeLimitExceeded', exc_module: 'billiard.exceptions', exc_message: [] },
  });
});

test('a schema checks and converts arguments before the body', async () => {
  const args = z.tuple([z.string(), z.object({ width: z.coerce.number().max(10) })]);
  const task = app.task(fresh(), { args }, (path, { width }) => `${path} ${width + 1}`);
  expect(await run(task, ['a', { width: '4' }])).toMatchObject({ kind: 'success', value: 'a 5' });
  const refused = await run(task, ['a', { width: 11 }]);
  expect(refused).toMatchObject({ kind: 'failure', record: { exc_type: 'TypeError' } });
  expect(refused).toHaveProperty('error.message', expect.stringContaining('args[1].width: '));
});

test('a task sees its request, custom headers apart', async () => {
  const task = app.task(fresh(), { bind: true }, (ctx) => [
    ctx.id,
    ctx.request.rootId,
    ctx.request.headers,
    app.currentTask?.id,
  ]);
  expect(await run(task)).toMatchObject({ value: ['id-1', 'root', { 'x-mine': 1 }, 'id-1'] });
});

test('concurrent runs each see their own task', async () => {
  const task = app.task(fresh(), async () => {
    await Promise.resolve();
    return app.currentTask?.id;
  });
  const outcomes = await Promise.all(['a', 'b', 'c'].map((id) => run(task, [], { id })));
  expect(outcomes).toMatchObject([{ value: 'a' }, { value: 'b' }, { value: 'c' }]);
});
