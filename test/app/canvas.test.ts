import { afterEach, describe, expect, test } from 'vitest';
import { Celery, chain, chord, group, type CeleryOptions, type TaskContext } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { recordSent } from '../../src/testing/index.ts';
import { until } from '../support/until.ts';

/*
 * Workflows on our own worker, in memory.
 */

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function start(define: (app: Celery) => void, options: CeleryOptions = {}): Promise<Celery> {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', ...options });
  define(app);
  const worker = new Worker(app, { concurrency: 8 });
  await worker.start();
  open.push(app, { [Symbol.asyncDispose]: () => worker.stop('cold') });
  return app;
}

const timeout = '10s';

describe('ctx.replace', () => {
  const tasks = (app: Celery) => {
    const add = app.task('add', (x: number, y: number) => x + y);
    const total = app.task('total', (values: number[]) => values.reduce((a, b) => a + b, 0));
    const swap = app.task('swap', { bind: true }, async (ctx: TaskContext, n: number): Promise<number> => {
      throw await ctx.replace(add.s(n, 100));
    });
    const fan = app.task('fan', { bind: true }, async (ctx: TaskContext, n: number): Promise<number[]> => {
      throw await ctx.replace(group([add.s(n, 1), add.s(n, 2)]));
    });
    const steps = app.task('steps', { bind: true }, async (ctx: TaskContext, n: number): Promise<number> => {
      throw await ctx.replace(chain(add.s(n, 1), add.s(10)));
    });
    return { add, total, swap, fan, steps };
  };

  test('by a call, a chain, a group: the handle and what follows get the value of the replacement', async () => {
    let on!: ReturnType<typeof tasks>;
    await start((app) => (on = tasks(app)));
    const { add, total, swap, fan, steps } = on;
    const swapped = await swap.delay(1);
    expect(await swapped.get({ timeout })).toBe(101);
    expect(await (await steps.delay(1)).get({ timeout })).toBe(12);
    expect(await (await fan.delay(1)).get({ timeout })).toEqual([2, 3]);
    expect(await (await chain(swap.s(1), add.s(1)).delay()).get({ timeout })).toBe(102);
    expect(await (await chain(fan.s(1), total.s(), add.s(1)).delay()).get({ timeout })).toBe(6);
    expect(await (await chain(add.s(1, 1), steps.s(), add.s(1)).delay()).get({ timeout })).toBe(14);
    expect(await (await chord([swap.s(1), add.s(1, 1), steps.s(1)], total.s()).delay()).get({ timeout })).toBe(115);
  });

  test('callbacks, errbacks and stamps go with it; a failing replacement fails the handle', async () => {
    const got: unknown[] = [];
    let swap!: { s(): ReturnType<ReturnType<Celery['task']>['s']> };
    await start((app) => {
      const boom = app.task('boom', { bind: true }, (ctx: TaskContext) => {
        got.push(ctx.request.stamps, ctx.request.replacedTaskNesting);
        throw new RangeError('boom');
      });
      app.task('note', (id: string) => void got.push(id));
      swap = app.task('swap', { bind: true }, async (ctx: TaskContext) => {
        throw await ctx.replace(boom.s());
      }) as never;
      return app;
    });
    const app = open[0] as unknown as Celery;
    const note = app.remoteTask<(id: string) => void>('note');
    const signature = swap
      .s()
      .linkError(note.s() as never)
      .stamp({ tenant: 'acme' });
    const result = await (
      signature as unknown as { delay(): Promise<{ id: string; get(o: object): Promise<unknown> }> }
    ).delay();
    await expect(result.get({ timeout })).rejects.toThrow('boom');
    await until(() => got.length === 3, { message: 'the errback ran' });
    expect(got).toEqual([{ tenant: 'acme' }, 1, result.id]);
  });

  test('what runs at once takes the value of its replacement', async () => {
    const app = new Celery({ broker: 'memory://', backend: 'memory://', taskAlwaysEager: true });
    open.push(app);
    const { swap } = tasks(app);
    expect(await (await swap.delay(1)).get()).toBe(101);
  });
});

test('ctx.addToChord: the body waits for the new member, once for each run of the task that adds it', async () => {
  let app!: Celery;
  let runs = 0;
  app = await start((on) => {
    const add = on.task('add', (x: number, y: number) => x + y);
    on.task('more', { bind: true, maxRetries: 3 }, async (ctx: TaskContext, n: number) => {
      runs++;
      await ctx.addToChord(add.s(n, 10));
      if (ctx.retries === 0) throw ctx.retry({ countdown: 0 });
      return n;
    });
    on.task('total', (values: number[]) => values.toSorted((a, b) => a - b));
  });
  const more = app.remoteTask<(n: number) => number>('more');
  const total = app.remoteTask<(values: number[]) => number[]>('total');
  const result = await chord([more.s(1), more.s(2)], total.s()).delay();
  expect(await result.get({ timeout })).toEqual([1, 2, 11, 12]);
  expect(runs).toBe(4);
  await expect((await more.delay(1)).get({ timeout })).rejects.toThrow('not a member of a chord');
});

test('an abortable task sees result.abort() in its signal', async () => {
  let began = 0;
  const app = await start((on) => {
    on.task('long', { bind: true, abortable: true }, async (ctx: TaskContext) => {
      began++;
      await new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error)));
    });
    on.task('polite', { bind: true, abortable: true }, async (ctx: TaskContext) => {
      began++;
      await until(() => ctx.signal.aborted, { message: 'the abort' });
      return 'stopped early';
    });
  });
  const long = await app.send('long');
  const polite = await app.send('polite');
  await until(() => began === 2, { message: 'both run' });
  await Promise.all([long.abort(), polite.abort()]);
  await expect(long.get({ timeout })).rejects.toMatchObject({ message: 'aborted' });
  expect(await polite.get({ timeout })).toBe('stopped early');
  await polite.abort();
  expect(await polite.state()).toBe('SUCCESS');
});

test('chains, groups and chords of generators, of arrays of any length, and of what has to be awaited', async () => {
  const app = await start((on) => {
    on.task('add', (x: number, y: number) => x + y);
    on.task('total', (values: number[]) => values.reduce((sum, one) => sum + one, 0));
  });
  const add = app.remoteTask<(x: number, y: number) => number>('add');
  const total = app.remoteTask<(values: number[]) => number>('total');
  function* known() {
    for (let n = 1; n <= 3; n++) yield add.s(n);
  }
  async function* later() {
    for (let n = 1; n <= 3; n++) yield add.s(n);
  }
  expect(await chain(known()).run(0)).toBe(6);
  expect(await (await chain(later())).run(0)).toBe(6);
  expect(await chain([add.s(1)]).run(1)).toBe(2);
  expect(await group(known()).run(10)).toEqual([11, 12, 13]);
  expect(await (await group(later())).run(10)).toEqual([11, 12, 13]);
  expect(await chord(known(), total.s()).run(10)).toBe(36);
  expect(await (await chord(later(), total.s())).run(10)).toBe(36);
  expect(() => chain([])).toThrow('a chain needs at least one signature');
  expect(() => group('add' as never)).toThrow('expected signatures, or an array or generator of them');
});

test('a signature runs here without a broker, and shows itself as in Celery', async () => {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', taskEagerPropagates: false });
  open.push(app);
  const add = app.task('math.add', (x: number, y: number) => x + y);
  const total = app.task('math.total', (values: number[]) => values.reduce((sum, one) => sum + one, 0));
  const boom = app.task('math.boom', (n: number): number => {
    throw new RangeError(`boom ${n}`);
  });
  const canvas = chain(add.s(1, 1), group([add.s(1), add.s(2)]), total.s(), add.s(10));
  expect(String(canvas)).toBe('math.add(1, 1) | %(total([add(1), add(2)]) | add(10))');
  const result = await canvas.apply();
  expect(await result.get()).toBe(17);
  expect(await result.parents()[0]?.get()).toBe(7);
  const failed = await chain(boom.s(1), add.s(1)).apply();
  expect(await failed.state()).toBe('FAILURE');
  await expect(failed.get()).rejects.toThrow('boom');
});

test('a group of one in a chain is its member, unless it is told to stay a group', async () => {
  const app = await start((on) => {
    on.task('next', (n: number) => n + 1);
    on.task('told', (value: unknown) => JSON.stringify(value));
  });
  const next = app.remoteTask<(n: number) => number>('next');
  const told = app.remoteTask<(value: unknown) => string>('told');
  const values = async (make: (unroll: boolean) => { delay(): Promise<{ get(options: object): Promise<unknown> }> }) =>
    Promise.all([true, false].map(async (unroll) => (await make(unroll).delay()).get({ timeout })));
  const one = (unroll: boolean) => group([next.s()], { unroll });
  expect(await values((unroll) => chain(next.s(1), one(unroll), told.s()))).toEqual(['3', '[3]']);
  expect(await values((unroll) => next.s(1).pipe(one(unroll)).pipe(told.s()))).toEqual(['3', '[3]']);
  expect(await values((unroll) => chain(next.s(1), one(unroll)))).toEqual([3, [3]]);
  expect(
    await values((unroll) => chain(group([next.s(1), next.s(2)]), told.s(), group([told.s()], { unroll }))),
  ).toEqual(['"[2,3]"', ['"[2,3]"']]);
});

test('map, starmap, chunks and skew', async () => {
  const app = await start((on) => {
    on.task('add', (x: number, y: number) => x + y);
    on.task('half', (n: number) => n / 2);
  });
  const add = app.remoteTask<(x: number, y: number) => number>('add');
  const half = app.remoteTask<(n: number) => number>('half');
  expect(await (await half.map([2, 4]).delay()).get({ timeout })).toEqual([1, 2]);
  const pairs: [number, number][] = [
    [1, 1],
    [2, 2],
    [3, 3],
  ];
  expect(await (await add.starmap(pairs).delay()).get({ timeout })).toEqual([2, 4, 6]);
  expect(await (await add.chunks(pairs, 2).delay()).get({ timeout })).toEqual([[2, 4], [6]]);
  using sent = recordSent(app);
  const hundred = Array.from({ length: 100 }, (_, i): [number, number] => [i, i]);
  const tens = await (await add.chunks(hundred, 10).delay()).get({ timeout });
  expect((tens as number[][]).map((ten) => ten.length)).toEqual(Array.from({ length: 10 }, () => 10));
  sent.assertSent('celery.starmap', { times: 10 });
  expect(sent.all).toHaveLength(10);
  const skewed = group(pairs.map(([x, y]) => add.s(x, y))).skew({ start: '1s', stop: '3s', step: '1s' });
  const tasks = skewed.kwargs['tasks'] as { options: { countdown: number } }[];
  expect(tasks.map(({ options }) => options.countdown)).toEqual([1, 2, 2]);
  expect(() => add.s(1, 2).skew()).toThrow('expected a group');
});
