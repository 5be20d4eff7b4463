import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  Celery,
  chain,
  chord,
  group,
  type AnySignature,
  type AsyncResult,
  type GroupResult,
  type TaskContext,
} from '../../src/index.ts';
import {
  compareStates,
  EXCEPTION_STATES,
  PROPAGATE_STATES,
  READY_STATES,
  UNREADY_STATES,
} from '../../src/result/states.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { canvasTasks } from '../support/canvas.ts';
import { pythonResults, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';
import { until } from '../support/until.ts';

/*
 * What a handle of either language says about tasks of either language, and what becomes of the parts of a workflow.
 */

const reason = missing('redis') ?? missing('python');
const timeout = '30s';

type Lang = 'ts' | 'py';
const LANGS = ['ts', 'py'] as const;
const QUEUES = { ts: 'ts', py: 'celery' } as const;
const other = (lang: Lang): Lang => (lang === 'ts' ? 'py' : 'ts');

describe.skipIf(reason !== undefined)(`handles on Redis${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
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
      resultExpires: 1234,
      taskRemoteTracebacks: true,
    });
    canvasTasks(app);
    app.task('ts.note', async (...args: unknown[]) => {
      await redis.client(1).rpush('notes', JSON.stringify(['ts', ...args]));
    });
    app.task('ts.progress', { bind: true }, async (ctx: TaskContext, n: number) => {
      for (let done = 0; done < n; done++) await ctx.update('PROGRESS', { done });
      return n;
    });
    app.task('ts.waits', { bind: true, maxRetries: 3 }, (ctx: TaskContext) => {
      throw ctx.retry({ countdown: '600s', cause: new RangeError('not yet') });
    });
    worker = new Worker(app, { queues: ['ts'], hostname: 'ts@handles', concurrency: 10 });
    await worker.start();
  });

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
  const chained = chain as unknown as (...steps: AnySignature[]) => AnySignature;
  const chorded = chord as unknown as (header: readonly AnySignature[], body: AnySignature) => AnySignature;
  const grouped = (...members: AnySignature[]): AnySignature => group(members) as unknown as AnySignature;
  const send = <T = AsyncResult<unknown>>(signature: AnySignature): Promise<T> =>
    (signature as unknown as { delay(): Promise<T> }).delay();

  const ENDINGS: readonly (readonly [string, (lang: Lang) => Promise<AsyncResult<unknown>>, string])[] = [
    [
      'a success',
      (lang) => app.send(`${lang}.step`, ['a'], { queue: QUEUES[lang], headers: { tenant: 'acme' } }),
      'SUCCESS',
    ],
    ['a failure', (lang) => app.send(`${lang}.fail`, ['broken'], { queue: QUEUES[lang] }), 'FAILURE'],
    [
      'an expired call',
      (lang) => app.send(`${lang}.step`, ['a'], { queue: QUEUES[lang], countdown: '300ms', expires: '50ms' }),
      'REVOKED',
    ],
    ['a retry', (lang) => app.send(`${lang}.waits`, [], { queue: QUEUES[lang] }), 'RETRY'],
    ['nothing yet', (lang) => app.send(`${lang}.step`, ['a'], { queue: 'nobody' }), 'PENDING'],
  ];

  test.each(LANGS)('of tasks in %s both languages say the same (RES-3, RES-4)', async (lang) => {
    const sent = await Promise.all(ENDINGS.map(([, call]) => call(lang)));
    for (const [n, result] of sent.entries()) {
      await until(async () => (await result.state()) === ENDINGS[n]?.[2], { message: `${ENDINGS[n]?.[0]}` });
    }
    const theirs = (await pythonResults(
      side,
      sent.map(({ id }) => ({ op: 'facts', id })),
    )) as Record<string, unknown>[];
    for (const [n, result] of sent.entries()) {
      const [, , state] = ENDINGS[n] as (typeof ENDINGS)[number];
      const snapshot = await result.snapshot();
      const { name, args, kwargs, worker: node, retries, queue } = await result.meta();
      const error = 'error' in snapshot ? (snapshot.error as Error & { type?: string; args?: unknown[] }) : undefined;
      expect(theirs[n]).toEqual({
        state: await result.state(),
        ready: await result.ready(),
        successful: await result.successful(),
        failed: await result.failed(),
        result: 'value' in snapshot ? snapshot.value : error === undefined ? null : expect.anything(),
        traceback: snapshot.traceback,
        done: snapshot.dateDone === null ? null : expect.closeTo(Number(snapshot.dateDone) / 1000, 2),
        name,
        args,
        kwargs,
        worker: node,
        retries,
        queue,
      });
      expect(snapshot.state).toBe(state);
      if (state === 'SUCCESS') {
        expect([name, args, kwargs, node, retries, queue]).toEqual([
          `${lang}.step`,
          ['a'],
          {},
          lang === 'ts' ? 'ts@handles' : 'py@test',
          0,
          QUEUES[lang],
        ]);
      }
      if (state === 'FAILURE') {
        expect(theirs[n]?.['result']).toEqual([lang === 'ts' ? 'TypeError' : 'ValueError', 'broken']);
        expect([error?.type ?? error?.name, error?.message]).toEqual([
          lang === 'ts' ? 'TypeError' : 'ValueError',
          'broken',
        ]);
        // taskRemoteTracebacks (RES-15)
        expect(error?.stack).toContain(`In the worker:\n${String(snapshot.traceback)}`);
      }
    }
    await sent[3]?.revoke();
    await sent[4]?.revoke();
  });

  test('states sort alike, and belong to the same sets (RES-2)', async () => {
    const states = ['PENDING', 'RETRY', 'PROGRESS', 'SUCCESS', 'REVOKED', 'STARTED', 'FAILURE', 'RECEIVED', 'REJECTED'];
    const [theirs] = await pythonResults(side, [{ op: 'states', states }]);
    const sets = [READY_STATES, UNREADY_STATES, EXCEPTION_STATES, PROPAGATE_STATES].map((one) => [...one].toSorted());
    expect([states.toSorted(compareStates), ...sets]).toEqual(theirs);
  });

  test('every state on the way arrives in order, in either direction (RES-8)', async () => {
    const ours = await app.send('py.progress', [4], { queue: 'celery' });
    const seen: unknown[] = [];
    for await (const update of ours.updates({ signal: AbortSignal.timeout(30_000) })) {
      seen.push(update.state === 'CUSTOM' ? [update.name, update.meta] : update.state);
    }
    const steps = (n: number) => Array.from({ length: n }, (_, done) => ['PROGRESS', { done }]);
    expect(seen).toEqual([...steps(4).slice(4 - (seen.length - 1)), 'SUCCESS']);
    expect(seen.length).toBeGreaterThan(2);
    const [theirs] = (await pythonResults(side, [
      { op: 'messages', name: 'ts.progress', args: [4], queue: 'ts' },
    ])) as unknown[][];
    // Python may begin to listen after the first of them.
    expect(theirs).toEqual([...steps(4), ['SUCCESS', 4]].slice(5 - (theirs?.length ?? 0)));
    expect(theirs?.at(-1)).toEqual(['SUCCESS', 4]);
  });

  test('results live for as long as resultExpires says, and are gone when one side forgets them (RES-9, RES-13)', async () => {
    const client = redis.client(1);
    const key = (result: AsyncResult<unknown>): string => `celery-task-meta-${result.id}`;
    const theirs = await app.send('py.step', ['a'], { queue: 'celery' });
    const here = await app.send('ts.step', ['a'], { queue: 'ts' });
    await Promise.all([theirs.get({ timeout }), here.get({ timeout })]);
    expect(await client.ttl(key(here))).toBeGreaterThan(1100);
    expect(await client.ttl(key(here))).toBeLessThanOrEqual(1234);
    await theirs.forget();
    await pythonResults(side, [{ op: 'forget', id: here.id }]);
    expect(await client.exists(key(theirs), key(here))).toBe(0);
    await until(async () => (await client.pubsub('CHANNELS', 'celery-task-meta-*')).length === 0, {
      message: 'nobody listens for results any more',
    });
  });

  test.each(LANGS)('a handle revokes by stamps what waits in a worker of %s (RES-9)', async (lang) => {
    const stamped = step(lang, 'step', 'a') as unknown as {
      stamp(stamps: object): { applyAsync(args: unknown[], options: object): Promise<AsyncResult<unknown>> };
    };
    const [first, second, spared] = [
      await stamped.stamp({ tenant: `gone ${lang}` }).applyAsync([], { countdown: '6s' }),
      await stamped.stamp({ tenant: `gone ${lang}` }).applyAsync([], { countdown: '6s' }),
      await stamped.stamp({ tenant: `kept ${lang}` }).applyAsync([], { countdown: '1s' }),
    ];
    // Python looks again when they are due.
    await first?.revokeByStampedHeaders({ tenant: [`gone ${lang}`] });
    for (const one of [first, second]) {
      await expect(one?.get({ timeout: '40s' })).rejects.toMatchObject({ code: 'ERR_TASK_REVOKED' });
    }
    expect(await spared?.get({ timeout })).toBe('a');
  });

  test('a chain of twenty steps that changes the language at each of them (CAN-6)', async () => {
    const labels = Array.from({ length: 20 }, (_, n) => `s${n}`);
    const steps = labels.map((label, n) => step(n % 2 ? 'py' : 'ts', 'step', label));
    const last = await send(chained(...steps));
    const want = labels.reduce((before, label) => (before === '' ? label : `${label}(${before})`), '');
    expect(await last.get({ timeout })).toBe(want);
    const before = await Promise.all(last.parents().map((one) => one.get({ timeout })));
    expect(before).toHaveLength(19);
    expect(before.at(-1)).toBe('s0');
  });

  test.each(LANGS)('what fails in %s fails every later step, and the chord around it (CAN-8)', async (lang) => {
    const steps = [step(other(lang), 'step', 'a'), step(lang, 'fail', 'broken')];
    const later = [step(other(lang), 'step', 'b'), step(lang, 'step', 'c'), step(other(lang), 'step', 'd')];
    const last = await send(chained(...steps, ...later));
    await expect(last.get({ timeout })).rejects.toThrow('broken');
    const all = [last, ...last.parents()];
    await until(async () => (await Promise.all(all.map((one) => one.ready()))).every(Boolean), {
      message: 'every step has ended',
    });
    expect(await Promise.all(all.map((one) => one.state()))).toEqual([
      'FAILURE',
      'FAILURE',
      'FAILURE',
      'FAILURE',
      'SUCCESS',
    ]);
    const around = chorded([chained(...steps, ...later), step(lang, 'step', 'x')], step(other(lang), 'step', 'end'));
    await expect((await send(around)).get({ timeout })).rejects.toThrow('broken');
  });

  test('errbacks of a group are called for each member that fails (CAN-10)', async () => {
    await redis.client(1).del('notes');
    const members = grouped(step('ts', 'fail', 'x'), step('py', 'fail', 'y'), step('ts', 'step', 'z'));
    const linked = (members as unknown as { linkError(one: AnySignature): AnySignature }).linkError(
      step('ts', 'note', 'failed'),
    );
    const result = await send<GroupResult<unknown[]>>(linked);
    await expect(result.get({ timeout })).rejects.toThrow(/^[xy]$/);
    const told = await until(
      async () => {
        const all = await redis.client(1).lrange('notes', 0, -1);
        return all.length >= 2 ? all.map((one) => JSON.parse(one) as unknown[]) : undefined;
      },
      { message: 'two errbacks ran' },
    );
    expect(told.map(([, id]) => String(id)).toSorted()).toEqual(
      result.results
        .slice(0, 2)
        .map(({ id }) => id)
        .toSorted(),
    );
  });

  test.each(LANGS)('a body in %s that takes nothing ignores the header, empty or not (CAN-16)', async (lang) => {
    const body = app
      .remoteTask<(label: string) => string>(`${lang}.step`, { queue: QUEUES[lang] })
      .si('alone') as unknown as AnySignature;
    expect(await (await send(chorded([step('ts', 'step', 'a'), step('py', 'step', 'b')], body))).get({ timeout })).toBe(
      'alone',
    );
    expect(await (await send(chorded([], body))).get({ timeout })).toBe('alone');
  });

  test.each(LANGS)('a header that fails in %s fails all of a body that is a group (CAN-17)', async (lang) => {
    const body = grouped(step('ts', 'step', 'b'), step('py', 'step', 'c'));
    const result = await send<GroupResult<unknown[]>>(
      chorded([step(lang, 'fail', 'broken'), step(lang, 'step', 'a')], body),
    );
    const culprit = (result.parent as unknown as GroupResult<unknown[]>).results[0]?.id;
    for (const member of result.results) {
      // Python's worker also revokes them; whichever it stores last is read.
      const message = lang === 'ts' ? `^Dependency ${culprit} raised TypeError\\('broken'\\)$` : 'broken|revoked';
      await expect(member.get({ timeout })).rejects.toThrow(new RegExp(message));
    }
  });

  test('the keys of a chord are the same, whoever counts (CAN-13)', async () => {
    const client = redis.client(1);
    const late = (step('ts', 'step', 'c') as unknown as { set(options: object): AnySignature }).set({
      countdown: '40s',
    });
    const result = await send(chorded([step('ts', 'step', 'a'), step('py', 'step', 'b'), late], step('ts', 'note')));
    const header = result.parent as unknown as GroupResult<unknown[]>;
    const [a, b] = header.results;
    const key = (end: string): string => `celery-taskset-meta-${header.id}.${end}`;
    await until(async () => (await client.zcard(key('j'))) === 2, { message: 'two members are counted' });
    expect(await client.zrange(key('j'), '0', '-1', 'WITHSCORES')).toEqual([
      `[1, "${a?.id}", "SUCCESS", "a"]`,
      '0',
      `[1, "${b?.id}", "SUCCESS", "b"]`,
      '1',
    ]);
    expect(await client.mget(key('s'), key('t'))).toEqual(['3', null]);
    await result.revoke();
    await header.results[2]?.revoke();
  });
});
