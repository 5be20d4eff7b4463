import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  Celery,
  chain,
  chord,
  group,
  type AnySignature,
  type AsyncResult,
  type FailedRequest,
  type TaskContext,
} from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing, olderThan } from '../support/available.ts';
import { canvasTasks } from '../support/canvas.ts';
import { pythonCalls, pythonResults, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';
import { until } from '../support/until.ts';

/** In an order that does not depend on who was first. */
function sorted(all: readonly unknown[]): string[] {
  return all.map((one) => JSON.stringify(one)).toSorted((a, b) => a.localeCompare(b));
}

/*
 * What tasks of one language do to those of the other: links, errbacks, replacing, growing chords, aborting, stamps.
 */

const reason = missing('redis') ?? missing('python');
const timeout = '30s';

type Lang = 'ts' | 'py';
const QUEUES = { ts: 'ts', py: 'celery' } as const;
const other = (lang: Lang): Lang => (lang === 'ts' ? 'py' : 'ts');
const LANGS = ['ts', 'py'] as const;

describe.skipIf(reason !== undefined)(`tasks on Redis${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  let side: PythonSide;
  let python: PythonWorker;
  let app: Celery;
  let worker: Worker;

  beforeAll(async () => {
    redis = await startRedis();
    side = { broker: redis.url(0), backend: redis.url(1), config: { result_extended: true } };
    python = await pythonWorker(side);
    app = new Celery({
      broker: side.broker,
      backend: side.backend,
      resultExtended: true,
      taskRoutes: { 'ts.*': { queue: 'ts' } },
    });
    canvasTasks(app);
    const note = (...told: unknown[]): Promise<number> => redis.client(1).rpush('notes', JSON.stringify(told));
    app.task('ts.note', async (...args: unknown[]) => void (await note('ts', ...args)));
    app.task('ts.errback3', async (request: FailedRequest, error: Error, traceback: string | null) => {
      await note('ts', request.id, error.name, error.message, typeof traceback);
    });
    app.task('ts.hop', { bind: true }, ({ request }: TaskContext, seen: unknown[] = []) => [
      ...seen,
      [request.id, request.rootId, request.parentId],
    ]);
    app.task('ts.square', (n: number) => n * n);
    app.task('ts.sends', (lang: Lang) => app.send(`${lang}.hop`, [], { queue: QUEUES[lang] }));
    const made = (name: string, queue: string, ...args: unknown[]): AnySignature =>
      app.remoteTask<(...args: unknown[]) => unknown>(name, { queue }).s(...args) as unknown as AnySignature;
    app.task('ts.swap', { bind: true }, async (ctx: TaskContext, name: string, queue: string, ...args: unknown[]) => {
      throw await ctx.replace(made(name, queue, ...args));
    });
    app.task('ts.fan', { bind: true }, async (ctx: TaskContext, name: string, queue: string, labels: string[]) => {
      throw await ctx.replace(group(labels.map((label) => made(name, queue, label))) as unknown as AnySignature);
    });
    app.task('ts.more', { bind: true }, async (ctx: TaskContext, name: string, queue: string, label: string) => {
      await ctx.addToChord(made(name, queue, label));
      return 'ts.more';
    });
    app.task('ts.abortable', { bind: true, abortable: true }, async (ctx: TaskContext) => {
      await ctx.update('WAITING');
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      return 'stopped early';
    });
    app.task('ts.flaky', { bind: true, maxRetries: 2 }, (ctx: TaskContext, times: number) => {
      if (ctx.retries < times) throw ctx.retry({ countdown: 0 });
      return ctx.retries;
    });
    worker = new Worker(app, { queues: ['ts'], hostname: 'ts@tasks', concurrency: 10 });
    await worker.start();
  });

  beforeEach(() => redis.client(1).del('notes'));

  afterAll(async () => {
    await worker?.stop('cold');
    await app?.close();
    await python?.[Symbol.asyncDispose]();
    await redis?.stop();
  });

  const step = (lang: Lang, name: string, ...args: unknown[]): AnySignature =>
    app
      .remoteTask<(...args: unknown[]) => unknown>(`${lang}.${name}`, { queue: QUEUES[lang] })
      .s(...args) as unknown as AnySignature;
  const immutable = (lang: Lang, name: string, ...args: unknown[]): AnySignature =>
    app
      .remoteTask<(...args: unknown[]) => unknown>(`${lang}.${name}`, { queue: QUEUES[lang] })
      .si(...args) as unknown as AnySignature;
  const chained = chain as unknown as (...steps: AnySignature[]) => AnySignature;
  const chorded = chord as unknown as (header: readonly AnySignature[], body: AnySignature) => AnySignature;
  const linkError = (signature: AnySignature, errback: AnySignature): AnySignature =>
    (signature as unknown as { linkError(errback: AnySignature): AnySignature }).linkError(errback);
  const send = (signature: AnySignature): Promise<AsyncResult<unknown>> =>
    (signature as unknown as { delay(): Promise<AsyncResult<unknown>> }).delay();
  const valueOf = async (signature: AnySignature): Promise<unknown> => (await send(signature)).get({ timeout });
  const notes = (count: number): Promise<unknown[][]> =>
    until(
      async () => {
        const all = await redis.client(1).lrange('notes', 0, -1);
        return all.length < count ? undefined : all.map((text) => JSON.parse(text) as unknown[]);
      },
      { message: `${count} notes` },
    );

  test('three hops across both languages share one root, and know who came before (PRO-5)', async () => {
    const hops = (await valueOf(chained(step('ts', 'hop'), step('py', 'hop'), step('ts', 'hop')))) as string[][];
    const back = (await valueOf(chained(step('py', 'hop'), step('ts', 'hop'), step('py', 'hop')))) as string[][];
    for (const seen of [hops, back]) {
      const [first] = seen[0] as string[];
      expect(seen.map(([, root]) => root)).toEqual([first, first, first]);
      expect(seen.map(([, , parent]) => parent)).toEqual([null, first, seen[1]?.[0]]);
    }
    // A task sent from within a task, in the other language.
    const outer = await send(step('ts', 'sends', 'py'));
    const sent = app.resultFrom((await outer.get({ timeout })) as never);
    expect(await sent.get({ timeout })).toEqual([[sent.id, outer.id, outer.id]]);
  });

  test.each(LANGS)(
    'link gets the value first, link_error runs on failure: %s calls the other (CALL-8)',
    async (lang) => {
      const link = [step(other(lang), 'note', 'extra'), step(lang, 'note', 'same')];
      const ok = await app.send(`${lang}.step`, ['value'], { queue: QUEUES[lang], link });
      const error = [step(other(lang), 'note', 'failed')];
      const failed = await app.send(`${lang}.fail`, ['x'], { queue: QUEUES[lang], linkError: error as never });
      await ok.get({ timeout });
      const told = await notes(3);
      expect(sorted(told)).toEqual(
        sorted([
          [other(lang), 'value', 'extra'],
          [lang, 'value', 'same'],
          [other(lang), failed.id, 'failed'],
        ]),
      );
    },
  );

  test('Python links tasks of ours to its calls', async () => {
    const dict = (name: string, ...args: unknown[]): object => ({
      task: name,
      args,
      kwargs: {},
      options: { queue: 'ts' },
      subtask_type: null,
      immutable: false,
    });
    const [, failed] = await pythonCalls(side, [
      { name: 'ts.step', args: ['value'], options: { queue: 'ts', link: [dict('ts.note', 'x')] } },
      { name: 'ts.fail', args: ['y'], options: { queue: 'ts', link_error: [dict('ts.note', 'z')] } },
    ]);
    expect(sorted(await notes(2))).toEqual(
      sorted([
        ['ts', 'value', 'x'],
        ['ts', failed?.id, 'z'],
      ]),
    );
  });

  test('errbacks that take request, error and traceback run inline where they are known, else get the id (CAN-18)', async () => {
    const here = await send(linkError(step('ts', 'fail', 'one'), step('ts', 'errback3')));
    const there = await send(linkError(step('py', 'fail', 'two'), step('py', 'errback3')));
    const away = await send(linkError(step('ts', 'fail', 'three'), step('py', 'note')));
    const back = await send(linkError(step('py', 'fail', 'four'), step('ts', 'note')));
    expect(sorted(await notes(4))).toEqual(
      sorted([
        ['ts', here.id, 'TypeError', 'one', 'string'],
        ['py', there.id, 'ValueError', 'two'],
        ['py', away.id],
        ['ts', back.id],
      ]),
    );
  });

  const SWAPS: readonly (readonly [Lang, Lang])[] = [
    ['ts', 'py'],
    ['py', 'ts'],
    ['ts', 'ts'],
    ['py', 'py'],
  ];

  // Celery 5.2 loses a replaced member's place in its chord.
  const replacing = SWAPS.filter(([lang]) => lang === 'ts' || olderThan(5, 3) === undefined);
  test.each(replacing)('a %s task is replaced by one of %s: alone, in chains, in chords (DEF-16)', async (lang, by) => {
    const swap = (label: string): AnySignature => immutable(lang, 'swap', `${by}.step`, QUEUES[by], label);
    const fan = immutable(lang, 'fan', `${by}.step`, QUEUES[by], ['a', 'b']);
    const end = (label: string): AnySignature => step(other(by), 'step', label);
    expect(
      await Promise.all(
        [
          swap('x'),
          chained(swap('x'), end('y')),
          chained(step('ts', 'step', 'w'), swap('x'), end('y')),
          chorded([swap('x'), end('y')], end('z')),
          chorded([chained(step('py', 'step', 'w'), swap('x')), swap('y')], end('z')),
          fan,
          chained(fan, end('y')),
          chorded([fan, end('y')], end('z')),
        ].map(valueOf),
      ),
    ).toEqual(['x', 'y(x)', 'y(x)', 'z([x,y])', 'z([x,y])', ['a', 'b'], 'y([a,b])', 'z([[a,b],y])']);
  });

  test.each(SWAPS)('a %s task makes one of %s a member of its chord (DEF-17)', async (lang, added) => {
    const more = step(lang, 'more', `${added}.step`, QUEUES[added], 'added');
    const value = await valueOf(chorded([more, step(other(lang), 'step', 'last')], step(other(added), 'step', 'end')));
    expect(
      String(value)
        .replace('end(', '')
        .replaceAll(/[[\])]/g, '')
        .split(',')
        .sort(),
    ).toEqual(['added', 'last', `${lang}.more`]);
  });

  test('tasks are aborted from the other language (DEF-20)', async () => {
    const ours = await send(step('ts', 'abortable'));
    await until(async () => (await ours.state()) === 'WAITING', { message: 'our task runs' });
    await pythonResults(side, [{ op: 'abort', id: ours.id }]);
    expect(await ours.get({ timeout })).toBe('stopped early');
    const theirs = await send(step('py', 'abortable'));
    await theirs.abort();
    expect(await theirs.get({ timeout })).toBe('stopped early');
  });

  test.skipIf(olderThan(5, 3))('stamps go through retries, replacing and chains, and are stored (STA-4)', async () => {
    const stamped = (signature: AnySignature): AnySignature =>
      (signature as unknown as { stamp(stamps: object): AnySignature }).stamp({ tenant: 'acme', run: [1, 2] });
    // A task that Python replaces loses its stamps there.
    const sent = await Promise.all(
      [
        step('ts', 'flaky', 2),
        step('py', 'flaky', 2),
        step('ts', 'swap', 'py.step', 'celery', 'x'),
        chained(step('ts', 'flaky', 1), step('py', 'step', 'b'), step('ts', 'step', 'c')),
        chorded([step('py', 'step', 'a'), step('ts', 'step', 'b')], step('py', 'step', 'c')),
      ].map((signature) => send(stamped(signature))),
    );
    for (const result of sent) await result.get({ timeout });
    const all = sent.flatMap((result) => [result, ...result.parents()]).filter((one) => !('results' in one));
    const theirs = (await pythonResults(
      side,
      all.map(({ id }) => ({ op: 'meta', id })),
    )) as Record<string, unknown>[];
    const want = { tenant: 'acme', run: [1, 2] };
    const ours = await Promise.all(all.map((result) => result.meta()));
    expect(ours.map(({ name, stamps }) => [name, stamps])).toEqual(ours.map(({ name }) => [name, want]));
    for (const meta of theirs) {
      expect(meta).toMatchObject(want);
      expect((meta['stamped_headers'] as string[]).toSorted()).toEqual(['run', 'tenant']);
    }
  });

  test('map, starmap and chunks run where their task runs (CAN-20, CAN-21)', async () => {
    const numbers = [1, 2, 3];
    const queues = {
      ts: app.remoteTask<(n: number) => number>('ts.square'),
      py: app.remoteTask<(n: number) => number>('py.square', { queue: 'celery' }),
    };
    for (const task of [queues.ts, queues.py]) {
      expect(await task.map(numbers).run()).toEqual([1, 4, 9]);
      expect(await task.starmap([[1], [2], [3]]).run()).toEqual([1, 4, 9]);
      expect(await task.chunks([[1], [2], [3]], 2).run()).toEqual([[1, 4], [9]]);
    }
  });
});
