import { afterEach, expect, test } from 'vitest';
import { chain, chord, group } from '../canvas/builders.ts';
import { failFollowers, returnPart } from './chord.ts';
import { ArgumentsError, ImproperlyConfigured, RemoteError, UsageError } from '../errors.ts';
import { exchange, queue } from '../messaging/entity.ts';
import { decodeBody, decodeHeaders } from '../protocol/decode.ts';
import type { Channel, Connection, Delivery } from '../transports/transport.ts';
import { Celery, type CeleryOptions } from './celery.ts';
import {
  failureRecord,
  publishCallbacks,
  publishErrbacks,
  publishRetry,
  retryRecord,
  successRecord,
} from './follow-up.ts';
import { taskRequest } from './request.ts';
import { trace, type Outcome } from './trace.ts';

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

function newApp(options: CeleryOptions = {}): Celery {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, ...options });
  open.push(app);
  return app;
}

/** The smallest worker: one message at a time, settled in the order of `worker/settle.ts`. */
class Hands implements AsyncDisposable {
  readonly app: Celery;
  #connection: Connection | undefined;
  #channel: Channel | undefined;
  constructor(app: Celery) {
    this.app = app;
    open.push(this);
  }
  async get(queue = 'celery'): Promise<Delivery> {
    this.#connection ??= await (await this.app.transport()).connect();
    this.#channel ??= await this.#connection.channel();
    const delivery = await this.#channel.get(queue);
    if (delivery === undefined) throw new Error(`queue ${queue} is empty`);
    return delivery;
  }
  async run(queue = 'celery'): Promise<Outcome> {
    const { app } = this;
    const delivery = await this.get(queue);
    const headers = decodeHeaders(delivery.message);
    const body = decodeBody(delivery.message, app.serializers, app.serializers.acceptSet(['json']));
    const { priority = null, replyTo, correlationId } = delivery.message.properties;
    const request = taskRequest(headers, body, {
      deliveryInfo: { exchange: delivery.exchange, routingKey: delivery.routingKey, priority, redelivered: false },
      replyTo,
      correlationId,
      hostname: 'test@host',
    });
    const task = app.tasks.get(headers.task);
    if (task === undefined) throw new Error(`no task ${headers.task}`);
    const outcome = await trace(app, task, request, { signal: new AbortController().signal });
    const backend = await app.backend();
    if (outcome.kind === 'success') {
      const children = [...outcome.children, ...(await publishCallbacks(app, request, outcome.value))];
      await backend.store(successRecord(app, request, outcome.value, children));
      await returnPart(app, request, 'SUCCESS', outcome.value);
    } else if (outcome.kind === 'failure') {
      await backend.store(failureRecord(app, request, outcome.record, outcome.traceback));
      await failFollowers(app, request, 'FAILURE', outcome.record, outcome.traceback);
      await publishErrbacks(app, request, outcome);
    } else if (outcome.kind === 'retry') {
      await publishRetry(app, request, outcome.retry);
      await backend.store(retryRecord(app, request, outcome));
    }
    await delivery.ack();
    return outcome;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection?.close();
  }
}

test('a call travels with protocol 2 headers in the order Python writes them', async () => {
  const app = newApp();
  const add = app.task('math.add', (x: number, y: number) => x + y);
  const result = await add.applyAsync([2, 3], { headers: { 'x-foo': 'bar' }, taskId: 'the-id', shadow: 'sh' });
  const { message, exchange, routingKey } = await new Hands(app).get();
  expect(result.id).toBe('the-id');
  expect({ exchange, routingKey }).toEqual({ exchange: '', routingKey: 'celery' });
  expect(Object.entries(message.headers)).toEqual([
    ['lang', 'js'],
    ['task', 'math.add'],
    ['id', 'the-id'],
    ['shadow', 'sh'],
    ['eta', null],
    ['expires', null],
    ['group', null],
    ['group_index', null],
    ['retries', 0],
    ['timelimit', [null, null]],
    ['root_id', 'the-id'],
    ['parent_id', null],
    ['argsrepr', '(2, 3)'],
    ['kwargsrepr', '{}'],
    ['origin', app.origin],
    ['ignore_result', false],
    ['replaced_task_nesting', 0],
    ['stamped_headers', null],
    ['stamps', {}],
    ['x-foo', 'bar'],
  ]);
  expect(message.properties).toMatchObject({ correlationId: 'the-id', replyTo: app.oid, deliveryMode: 2, priority: 0 });
  expect(JSON.parse(Buffer.from(message.body).toString())).toEqual([
    [2, 3],
    {},
    { callbacks: null, errbacks: null, chain: null, chord: null },
  ]);
});

test('countdown, expires and limits become what Python reads', async () => {
  const app = newApp();
  const add = app.task('math.add', (x: number, y: number) => x + y);
  const before = app.clock.now();
  await add.applyAsync([1, 2], {
    countdown: '10s',
    expires: '1m',
    timeLimit: '9s',
    softTimeLimit: '1.5s',
    priority: 3,
  });
  const { message } = await new Hands(app).get();
  const { eta, expires, timelimit } = decodeHeaders(message);
  expect(Date.parse(eta as string) - before).toBeGreaterThanOrEqual(9_999);
  expect(eta).toMatch(/\+00:00$/);
  expect(Date.parse(expires as string) - before).toBeGreaterThanOrEqual(59_999);
  expect(timelimit).toEqual([9, 1.5]);
  expect(Number(message.properties.expiration)).toBeGreaterThan(59_000);
  expect(message.properties.priority).toBe(3);
});

test('a task runs and its result arrives', async () => {
  const app = newApp();
  const add = app.task('math.add', async (x: number, y: number) => x + y);
  const result = await add.delay(2, 3);
  expect(await result.snapshot()).toMatchObject({ state: 'PENDING' });
  const value = result.get({ timeout: '5s' });
  await new Hands(app).run();
  expect(await value).toBe(5);
  expect(await result.snapshot()).toMatchObject({ state: 'SUCCESS', value: 5 });
});

test('a failure comes back with its type, and as its own class where that is registered', async () => {
  class Teapot extends Error {
    override readonly name = 'Teapot';
  }
  const app = newApp();
  const hands = new Hands(app);
  const boil = app.task('boil', (): number => {
    throw new Teapot('short and stout');
  });
  const first = await boil.delay();
  await hands.run();
  const error = await first.get().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RemoteError);
  expect(error).toMatchObject({ type: 'Teapot', module: 'js.errors', args: ['short and stout'] });
  app.registerError('Teapot', Teapot);
  expect(await app.result(first.id).get({ propagate: false })).toBeInstanceOf(Teapot);
});

test('a chain hands results on, and its handle knows its parents', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const add = app.task('math.add', (x: number, y: number) => x + y);
  const result = await chain(add.s(1, 2), add.s(3), add.s(4)).delay();
  for (let step = 0; step < 3; step++) await hands.run();
  expect(await result.get()).toBe(10);
  expect(await result.parent?.get()).toBe(6);
  expect(await result.parent?.parent?.get()).toBe(3);
});

test('a failed step ends the wait for the whole chain', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const fail = app.task('fail', (): number => {
    throw new TypeError('no');
  });
  const add = app.task('math.add', (x: number, y: number) => x + y);
  const result = await chain(fail.s(), add.s(1)).delay();
  await hands.run();
  await expect(result.get({ timeout: '5s' })).rejects.toMatchObject({ type: 'TypeError' });
});

test('a group yields values in order, and in order of completion when iterated', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const add = app.task('math.add', (x: number, y: number) => x + y);
  const result = await group([add.s(1, 1), add.s(2, 2), add.s(3, 3)]).delay();
  for (let n = 0; n < 3; n++) await hands.run();
  expect(await result.get()).toEqual([2, 4, 6]);
  const seen: unknown[] = [];
  for await (const one of result) seen.push(one);
  expect(seen).toHaveLength(3);
  expect(await result.completedCount()).toBe(3);
  await result.save();
  expect(await (await app.restoreGroup<number>(result.id))?.get()).toEqual([2, 4, 6]);
});

test('a chain may end in a group', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const add = app.task('math.add', (x: number, y: number) => x + y);
  const result = await chain(add.s(1, 2), group([add.s(10), add.s(20)])).delay();
  for (let n = 0; n < 3; n++) await hands.run();
  expect(await result.get()).toEqual([13, 23]);
});

test('callbacks receive the result, errbacks the id', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const got: unknown[] = [];
  const half = app.task('half', (n: number) => {
    if (n % 2) throw new RangeError('odd');
    return n / 2;
  });
  const note = app.task('note', (n: number) => void got.push(n));
  const failed = app.task('failed', (id: string) => void got.push(id));
  const inline = app.task('inline', (request: { id: string }, error: Error, traceback: string | null) => {
    got.push([request.id, error.message, typeof traceback]);
  });
  await half.applyAsync([4], { link: note.s(), linkError: failed.s() });
  await hands.run();
  await hands.run();
  await half.applyAsync([3], { taskId: 'odd-one', linkError: [failed.s(), inline.s()] });
  await hands.run();
  await hands.run();
  expect(got).toEqual([2, ['odd-one', 'odd', 'string'], 'odd-one']);
});

test('retries keep the id and count up, until none is left', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const flaky = app.task('flaky', { bind: true, maxRetries: 1 }, (ctx): number => {
    throw ctx.retry({ countdown: 0, cause: new Error(`run ${ctx.retries}`) });
  });
  const result = await flaky.applyAsync([], { queue: 'q2', headers: { a: 1 } });
  expect(await hands.run('q2')).toMatchObject({ kind: 'retry', retry: { retries: 1, etaMs: null } });
  expect(await result.snapshot()).toMatchObject({ state: 'RETRY' });
  expect(await hands.run('q2')).toMatchObject({ kind: 'failure', record: { exc_message: ['run 1'] } });
  await expect(result.get()).rejects.toThrow('run 1');
});

test('listed errors retry by themselves with growing waits', async () => {
  const app = newApp({ random: { next: () => 0.5, uuid: () => crypto.randomUUID() } });
  const hands = new Hands(app);
  const options = { autoretryFor: [RangeError], retryBackoff: '2s', retryBackoffMax: '5s' } as const;
  app.task('flaky', { ...options, dontAutoretryFor: [EvalError] }, () => {
    throw new RangeError('again');
  });
  for (const [retries, waitMs] of [
    [0, 1000],
    [1, 2000],
    [2, 2500],
  ] as const) {
    const before = app.clock.now();
    await app.sendSignature(
      {
        task: 'flaky',
        args: [],
        kwargs: {},
        options: { retries, queue: `q${retries}` },
        subtask_type: null,
        immutable: false,
      },
      {},
      {},
    );
    const outcome = await hands.run(`q${retries}`);
    const etaMs = outcome.kind === 'retry' ? (outcome.retry.etaMs as number) : NaN;
    expect(etaMs - before).toBeGreaterThanOrEqual(waitMs);
    expect(etaMs - app.clock.now()).toBeLessThanOrEqual(waitMs + 1);
  }
});

test('keywords reach the positions that params name', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const sub = app.task('sub', { params: ['a', 'b'] }, (a: number, b: number) => a - b);
  const plain = app.task('plain', (a: number) => a);
  const bound = app.task('bound', { bind: true }, (ctx) => ctx.request.kwargs['a']);
  await app.send('sub', [], { kwargs: { b: 1, a: 5 } });
  expect(await hands.run()).toMatchObject({ value: 4 });
  await app.send('sub', [1], { kwargs: { a: 5 } });
  expect(await hands.run()).toMatchObject({
    record: { exc_message: [expect.stringContaining("multiple values for argument 'a'")] },
  });
  await app.send('sub', [], { kwargs: { c: 5 } });
  expect(await hands.run()).toMatchObject({
    record: { exc_message: [expect.stringContaining("unexpected keyword argument 'c'")] },
  });
  await app.send('plain', [], { kwargs: { a: 5 } });
  expect(await hands.run()).toMatchObject({ kind: 'failure', error: expect.any(ArgumentsError) as unknown });
  await app.send('bound', [], { kwargs: { a: 5 } });
  expect(await hands.run()).toMatchObject({ value: 5 });
  await expect(plain.apply([1])).resolves.toBeDefined();
  await expect(bound.apply([])).resolves.toBeDefined();
  expect(sub.name).toBe('sub');
});

test('the number of arguments is checked in the caller, unless switched off', async () => {
  const app = newApp();
  const add = app.task('math.add', (x: number, y: number) => x + y);
  const loose = app.task('loose', { strictTyping: false }, (x: number) => x);
  const rest = app.task('rest', (x: number, ...more: number[]) => x + more.length);
  await expect(add.applyAsync([1, 2, 3] as never)).rejects.toThrow(
    'math.add() takes at most 2 positional arguments but 3 were given',
  );
  await expect(loose.applyAsync([1, 2] as never)).resolves.toBeDefined();
  await expect(rest.delay(1, 2, 3)).resolves.toBeDefined();
});

test('unknown options are refused with the nearest name', async () => {
  const app = newApp();
  const add = app.task('math.add', (x: number, y: number) => x + y);
  await expect(add.applyAsync([1, 2], { countDown: 1 } as never)).rejects.toThrow('did you mean "countdown"?');
  expect(() => app.task('bad', { acksLat: true } as never, () => 1)).toThrow('did you mean "acksLate"?');
});

test('a name belongs to one task', () => {
  const app = newApp();
  app.task('math.add', (x: number, y: number) => x + y);
  const first = app.tasks.get('math.add');
  expect(() => app.task('math.add', () => 1)).toThrow(ImproperlyConfigured);
  expect(() => app.task('celery.backend_cleanup', () => 1)).toThrow(ImproperlyConfigured);
  expect(app.tasks.get('math.add')).toBe(first);
});

test('children know their parent and root, and are listed with the result', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const leaf = app.task('leaf', () => 1);
  const tree = app.task('tree', async () => {
    await leaf.delay();
    return app.currentTask?.id;
  });
  const result = await tree.delay();
  await hands.run();
  const child = await hands.get();
  expect(decodeHeaders(child.message)).toMatchObject({ parent_id: result.id, root_id: result.id });
  expect(await result.get()).toBe(result.id);
  expect((await result.children()).map(({ id }) => id)).toEqual([decodeHeaders(child.message).id]);
  expect(app.currentTask).toBeUndefined();
});

test('waiting inside a task is refused', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const leaf = app.task('leaf', () => 1);
  app.task('waits', async () => (await leaf.delay()).get());
  await app.send('waits');
  expect(await hands.run()).toMatchObject({ kind: 'failure', error: expect.any(UsageError) as unknown });
});

test('an ignored result is null at once', async () => {
  const app = newApp();
  const quiet = app.task('quiet', { ignoreResult: true }, () => 1);
  expect(await (await quiet.delay()).get()).toBeNull();
  const { message } = await new Hands(app).get();
  expect(decodeHeaders(message).ignore_result).toBe(true);
});

test('updates report states of the application until the end', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const work = app.task('work', { bind: true }, async (ctx) => {
    await ctx.progress(1, 2);
    return 'done';
  });
  const result = await work.delay();
  const seen: unknown[] = [];
  const reader = (async () => {
    for await (const update of result.updates({ signal: AbortSignal.timeout(5000) })) {
      seen.push(update.state === 'CUSTOM' ? [update.name, update.meta] : update.state);
    }
  })();
  await hands.run();
  await reader;
  expect(seen.at(-1)).toBe('SUCCESS');
});

test('signals may change a message, and cannot break a publish', async () => {
  const app = newApp();
  const seen: string[] = [];
  app.on('beforePublish', ({ headers }) => (headers['x-trace'] = 'abc'));
  app.on('beforePublish', () => {
    throw new Error('broken handler');
  });
  app.on('afterPublish', ({ sender }) => seen.push(sender), { sender: 'a' });
  const stop = app.on('afterPublish', () => seen.push('any'), { id: 'once' });
  await app.send('a');
  await app.send('b');
  stop();
  await app.send('b');
  expect(seen).toEqual(['a', 'any', 'any']);
  expect((await new Hands(app).get()).message.headers['x-trace']).toBe('abc');
});

test('routes, task options and call options decide the queue in this order', async () => {
  const app = newApp({ taskRoutes: { 'web.*': { queue: 'web' } } });
  const hands = new Hands(app);
  const slow = app.task('slow', { queue: 'slow', priority: 5 }, () => 1);
  await app.send('web.fetch');
  await slow.delay();
  await slow.applyAsync([], { queue: 'fast' });
  await app.send('web.fetch', [], { queue: 'other' });
  expect((await hands.get('web')).message.headers['task']).toBe('web.fetch');
  expect((await hands.get('slow')).message.properties.priority).toBe(5);
  expect((await hands.get('fast')).message.headers['task']).toBe('slow');
  expect((await hands.get('other')).message.headers['task']).toBe('web.fetch');
});

test('eager calls run here, with hooks, links and retries', async () => {
  const order: string[] = [];
  const app = newApp({ taskAlwaysEager: true });
  const note = app.task('note', (n: number) => void order.push(`link ${n}`));
  const task = app.task(
    'task',
    {
      bind: true,
      hooks: {
        beforeStart: () => order.push('before'),
        onSuccess: () => order.push('success'),
        onRetry: () => order.push('retry'),
        afterReturn: (state) => order.push(`after ${state}`),
      },
    },
    (ctx, n: number) => {
      order.push('body');
      if (ctx.retries === 0) throw ctx.retry();
      return n * 2;
    },
  );
  const result = await task.applyAsync([21], { link: note.s() });
  expect(await result.get()).toBe(42);
  expect(order).toEqual(['before', 'body', 'retry', 'before', 'body', 'link 42', 'success', 'after SUCCESS']);
  expect(await task.run(1).catch((error: unknown) => (error as Error).message)).toMatch(/^Retry in 180s/);
  const add = app.task('add', (a: number, b: number) => a + b);
  expect(await (await chain(add.s(1, 2), group([add.s(1), add.s(2)])).delay()).get()).toEqual([4, 5]);
});

test('built-in tasks are there', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const add = app.task('add', (a: number, b: number) => a + b);
  expect(app.tasks.names()).toEqual(
    expect.arrayContaining(['celery.accumulate', 'celery.backend_cleanup', 'celery.map']),
  );
  const result = await add
    .starmap([
      [1, 2],
      [3, 4],
    ])
    .delay();
  await hands.run();
  expect(await result.get()).toEqual([3, 7]);
});

test('after close nothing is published or read, and closing again is harmless', async () => {
  const app = newApp();
  await app.send('a');
  await app.close();
  await app.close();
  await expect(app.send('a')).rejects.toThrow(UsageError);
  await expect(app.result('x').get()).rejects.toThrow(UsageError);
});

test.each([
  ['2026-01-02T03:04:05+02:00', '2026-01-02T03:04:05+02:00'],
  [new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 600)), '2026-01-02T03:04:05.600000+00:00'],
  [{ epochMilliseconds: Date.UTC(2026, 0, 2) }, '2026-01-02T00:00:00+00:00'],
])('eta %s', async (eta, written) => {
  const app = newApp();
  await app.send('a', [], { eta });
  expect(decodeHeaders((await new Hands(app).get()).message).eta).toBe(written);
});

test('times are written in the zone of the settings', async () => {
  const app = newApp({ timezone: 'Asia/Kolkata' });
  await app.send('a', [], { countdown: '1h' });
  expect(decodeHeaders((await new Hands(app).get()).message).eta).toMatch(/\+05:30$/);
});

test('what is no moment and no duration is refused where it was given', async () => {
  const app = newApp();
  await expect(app.send('a', [], { eta: 'tomorrow' })).rejects.toThrow('call option "eta"');
  await expect(app.send('a', [], { eta: new Date(NaN) })).rejects.toThrow('eta: expected a valid Date');
  await expect(app.send('a', [], { countdown: '5 parsecs' as never })).rejects.toThrow('call option "countdown"');
});

test('task-sent events reach whoever watches', async () => {
  const app = newApp({ taskSendSentEvent: true });
  const connection = await (await app.transport()).connect();
  const channel = await connection.channel();
  const exchangeOfEvents = { ...exchange('celeryev', { type: 'topic' }), deliveryMode: 1 as const };
  await channel.declare(queue('watcher', { exchange: exchangeOfEvents, routingKey: 'task.#' }));
  await app.send('a', [1]);
  const event = await channel.get('watcher');
  expect(event?.message.headers['hostname']).toBe(app.origin);
  expect(JSON.parse(Buffer.from(event?.message.body ?? []).toString())).toMatchObject({
    type: 'task-sent',
    name: 'a',
    args: '(1,)',
    queue: 'celery',
    exchange: '',
    routing_key: 'celery',
    clock: 1,
  });
  await connection.close();
});

test('a compressed body says how', async () => {
  const app = newApp();
  const echo = app.task('echo', (text: string) => text.length);
  const result = await echo.applyAsync(['x'.repeat(5000)], { compression: 'gzip' });
  const hands = new Hands(app);
  expect(await hands.run()).toMatchObject({ value: 5000 });
  expect(await result.get()).toBe(5000);
});

test('settings may come from an object and be changed until they are in use', async () => {
  const app = newApp();
  const task = app.task('annotated', { maxRetries: 1 }, () => 1);
  await app.configFrom({ CELERY_TASK_DEFAULT_QUEUE: 'mine', OTHER: 1 }, { namespace: 'CELERY' });
  app.configure({ taskAnnotations: { annotated: { maxRetries: 9 } } });
  expect(app.tasks.get('annotated')?.options.maxRetries).toBe(9);
  await task.delay();
  expect((await new Hands(app).get('mine')).message.headers['task']).toBe('annotated');
  expect(() => app.configure({ taskDefaultQueue: 'late' })).toThrow(UsageError);
});

test('two apps in one process know nothing of each other', async () => {
  const [one, two] = [newApp(), newApp()];
  one.task('only.here', () => 1);
  expect(two.tasks.has('only.here')).toBe(false);
  await one.send('a');
  await expect(new Hands(two).get()).rejects.toThrow('is empty');
});

test('a signature survives serialization, and a frozen one knows its result', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const add = app.task('math.add', (x: number, y: number) => x + y);
  const frozen = chain(add.s(1, 2), add.s(3)).set({ queue: 'celery' }).freeze();
  const sent = await app.signature(JSON.parse(JSON.stringify(frozen)) as ReturnType<typeof frozen.toJSON>).delay();
  expect(sent.id).toBe(frozen.id);
  await hands.run();
  await hands.run();
  expect(await frozen.result().get()).toBe(6);
  expect(() => add.s(1).result()).toThrow(UsageError);
});

test('a signature of one app does not join those of another', () => {
  const [one, two] = [newApp(), newApp()];
  const add = (app: Celery) => app.task('math.add', (x: number, y: number) => x + y);
  expect(() => chain(add(one).s(1, 2), add(two).s(3))).toThrow('of one app');
});

test('the body of a retry without throw runs on', async () => {
  const app = newApp();
  const hands = new Hands(app);
  app.task('again', { bind: true }, (ctx) => {
    if (ctx.retries === 0) void ctx.retry({ throw: false, countdown: 0 });
    return ctx.retries;
  });
  await app.send('again');
  expect(await hands.run()).toMatchObject({ kind: 'success', value: 0 });
  expect(await hands.run()).toMatchObject({ kind: 'success', value: 1 });
});

test('a chord sends its body once, with the results in the order of the header', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const add = app.task('math.add', (x: number, y: number) => x + y);
  const total = app.task('math.total', (values: number[]) => values.join());
  const result = await chain(add.s(0, 1), group([add.s(10), add.s(20)]), total.s()).delay();
  await hands.run();
  for (let n = 0; n < 3; n++) await hands.run();
  expect(await result.get({ timeout: '5s' })).toBe('11,21');
});

test('a failed header fails the body and calls its errbacks', async () => {
  const app = newApp();
  const hands = new Hands(app);
  const got: string[] = [];
  const half = app.task('half', (n: number): number => {
    if (n % 2) throw new RangeError('odd');
    return n / 2;
  });
  const total = app.task('total', (values: number[]) => values.length);
  const onError = app.task('onError', (id: string) => void got.push(id));
  const result = await chord([half.s(1), half.s(2)], total.s().linkError(onError.s())).delay();
  for (let n = 0; n < 3; n++) await hands.run();
  await expect(result.get({ timeout: '5s' })).rejects.toThrow(/^Dependency .* raised RangeError\('odd'\)$/);
  expect(got).toEqual([result.id]);
});

test('a chord without a result backend is refused before anything is sent', async () => {
  const app = newApp({ backend: 'disabled://' });
  const add = app.task('math.add', (x: number, y: number) => x + y);
  const total = app.task('math.total', (values: number[]) => values.length);
  await expect(chord([add.s(1, 1), add.s(2, 2)], total.s()).delay()).rejects.toThrow('chords need a result backend');
  await expect(new Hands(app).get()).rejects.toThrow('is empty');
});
