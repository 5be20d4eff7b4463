import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery, chain, chord, group } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { canvasTasks, outcomeOf, type Canvas, type CanvasOutcome } from '../support/canvas.ts';
import { pythonCanvases, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';
import { until } from '../support/until.ts';

/*
 * Workflows whose members run in both languages, on a real Redis with a real Python worker. Python consumes the queue
 * `celery`, we consume `ts`.
 */

const reason = missing('redis') ?? missing('python');

const ts = (label: string): Canvas => ({ op: 'step', lang: 'ts', label });
const py = (label: string): Canvas => ({ op: 'step', lang: 'py', label });
const chained = (...of: Canvas[]): Canvas => ({ op: 'chain', of });
const grouped = (...of: Canvas[]): Canvas => ({ op: 'group', of });
const chorded = (of: Canvas[], body: Canvas): Canvas => ({ op: 'chord', of, body });

describe.skipIf(reason !== undefined)(`canvas on Redis${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  let side: PythonSide;
  let python: PythonWorker;
  let app: Celery;
  let worker: Worker;

  beforeAll(async () => {
    redis = await startRedis();
    side = { broker: redis.url(0), backend: redis.url(1) };
    python = await pythonWorker(side);
    app = new Celery({ broker: side.broker, backend: side.backend });
    canvasTasks(app);
    app.task('ts.errback', async (id: string) => void (await redis.client(1).rpush('errbacks', `ts ${id}`)));
    worker = new Worker(app, { queues: ['ts'], hostname: 'ts@test', concurrency: 10 });
    await worker.start();
  });

  afterAll(async () => {
    await worker?.stop('cold');
    await app?.close();
    await python?.[Symbol.asyncDispose]();
    await redis?.stop();
  });

  const CASES: readonly (readonly [string, Canvas, unknown])[] = [
    ['a chord that runs here', chorded([ts('a'), ts('b')], ts('c')), 'c([a,b])'],
    ['a chord that runs there', chorded([py('a'), py('b')], py('c')), 'c([a,b])'],
    ['a mixed header, body here', chorded([ts('a'), py('b'), ts('c'), py('d')], ts('e')), 'e([a,b,c,d])'],
    ['a mixed header, body there', chorded([py('a'), ts('b'), py('c'), ts('d')], py('e')), 'e([a,b,c,d])'],
    ['a header of one', chorded([ts('a')], py('b')), 'b([a])'],
    ['an empty header', chorded([], ts('b')), 'b([])'],
    [
      'chains in the header',
      chorded([chained(ts('a'), py('b')), chained(py('c'), ts('d'))], ts('e')),
      'e([b(a),d(c)])',
    ],
    ['a chord in a header', chorded([chorded([ts('a'), py('b')], ts('c')), py('d')], ts('e')), 'e([c([a,b]),d])'],
    ['a chain as body', chorded([ts('a'), py('b')], chained(ts('c'), py('d'))), 'd(c([a,b]))'],
    ['a group as body', chorded([ts('a'), py('b')], grouped(ts('c'), py('d'))), ['c([a,b])', 'd([a,b])']],
    ['a chain with a group in it', chained(ts('a'), grouped(py('b'), ts('c')), py('d'), ts('e')), 'e(d([b(a),c(a)]))'],
    [
      'two groups in a chain',
      chained(grouped(ts('a'), py('b')), ts('c'), grouped(py('d'), ts('e')), ts('f')),
      'f([d(c([a,b])),e(c([a,b]))])',
    ],
    [
      'a body that is a group of one, and a step behind it',
      chained(chorded([ts('a'), py('b')], grouped(ts('c'))), py('d')),
      'd([c([a,b])])',
    ],
    [
      'a chain that ends in a group',
      chorded([chained(ts('a'), grouped(py('b'), ts('c')))], ts('d')),
      'd([[b(a),c(a)]])',
    ],
  ];

  test('a group in a header gives its members to it; Celery turns their order around', async () => {
    const canvas = chorded([ts('a'), grouped(py('b'), ts('c'))], ts('d'));
    expect(await outcomeOf(app, canvas, '30s')).toEqual({ state: 'SUCCESS', value: 'd([a,b,c])' });
    expect(await pythonCanvases(side, [canvas], 30)).toEqual([{ state: 'SUCCESS', value: 'd([a,c,b])' }]);
  });

  test('sent from here', async () => {
    const outcomes = await Promise.all(CASES.map(([, canvas]) => outcomeOf(app, canvas, '30s')));
    expect(CASES.map(([name], i) => [name, outcomes[i]])).toEqual(
      CASES.map(([name, , value]) => [name, { state: 'SUCCESS', value }]),
    );
  });

  test('sent from Python', async () => {
    const outcomes = await pythonCanvases<CanvasOutcome>(
      side,
      CASES.map(([, canvas]) => canvas),
      30,
    );
    expect(CASES.map(([name], i) => [name, outcomes[i]])).toEqual(
      CASES.map(([name, , value]) => [name, { state: 'SUCCESS', value }]),
    );
  });

  const fail = (lang: 'ts' | 'py'): Canvas => ({ op: 'fail', lang, label: 'broken' });
  const FAILING: readonly Canvas[] = [
    chorded([ts('a'), fail('ts')], ts('b')),
    chorded([py('a'), fail('py')], ts('b')),
    chorded([ts('a'), fail('py')], py('b')),
    chorded([chained(fail('ts'), py('a')), py('c')], ts('b')),
    chained(grouped(fail('ts'), py('a')), ts('b'), py('c')),
  ];

  test.each([
    ['here', () => Promise.all(FAILING.map((canvas) => outcomeOf(app, canvas, '30s')))],
    ['Python', () => pythonCanvases<CanvasOutcome>(side, FAILING, 30)],
  ])('a failed member fails the body, sent from %s', async (_, run) => {
    for (const outcome of await run()) {
      expect(outcome.state).toBe('FAILURE');
      // Python raises the error of a member instead, when it is there already.
      if (outcome.type !== 'ChordError') expect([outcome.type, outcome.error]).toEqual([expect.anything(), 'broken']);
      else expect(outcome.error).toMatch(/^Dependency [-\w]+ raised (TypeError|ValueError)\('broken'\)$/);
      expect(['ChordError', 'TypeError', 'ValueError']).toContain(outcome.type);
    }
  });

  test('errbacks of a body run once, in either language; keys of a finished chord are gone', async () => {
    const client = redis.client(1);
    await client.del('errbacks');
    const broken = app.remoteTask<(label: string) => string>('ts.fail', { queue: 'ts' });
    const total = app.remoteTask<(values: string[]) => string>('ts.step', { queue: 'ts' });
    const here = app.remoteTask<(id: string) => void>('ts.errback', { queue: 'ts' });
    const there = app.remoteTask<(id: string) => void>('py.errback', { queue: 'celery' });
    const result = await chord(
      [broken.s('x'), broken.s('y')],
      total.s().linkError(here.s()).linkError(there.s()),
    ).delay();
    await expect(result.get({ timeout: '20s' })).rejects.toThrow('Dependency');
    const called = await until(
      async () => {
        const all = await client.lrange('errbacks', 0, -1);
        return all.length >= 2 ? all : undefined;
      },
      { message: 'both errbacks ran' },
    );
    expect(called.sort()).toEqual([`py ${result.id}`, `ts ${result.id}`]);
    expect(await client.keys('celery-taskset-meta-*.[jst]')).toEqual(
      (await client.keys('celery-taskset-meta-*.[jst]')).filter(
        (key) => !key.includes((result.parent as { id: string }).id),
      ),
    );
  });

  test('a member that is revoked, expired or unknown here fails the chord', async () => {
    const one = app.remoteTask<(label: string) => string>('ts.step', { queue: 'ts' });
    const unknown = app.remoteTask<(label: string) => string>('ts.nobody', { queue: 'ts' });
    const total = app.remoteTask<(before: unknown) => string>('ts.step', { queue: 'ts' });
    const late = await chord([one.s('a'), one.s('b').set({ countdown: '500ms', expires: '100ms' })], total.s()).delay();
    await expect(late.get({ timeout: '20s' })).rejects.toThrow("raised TaskRevokedError('expired')");
    const nobody = await chord([one.s('a'), chain(unknown.s('b'), total.s())], total.s()).delay();
    await expect(nobody.get({ timeout: '20s' })).rejects.toThrow("raised NotRegistered('ts.nobody')");
    const members = group([one.s('a'), one.s('b').set({ countdown: '3s' })]).freeze();
    const revoked = await members.pipe(total.s()).delay();
    const header = revoked.parent as unknown as { results: { revoke(): Promise<void> }[] };
    await header.results[1]?.revoke();
    await expect(revoked.get({ timeout: '20s' })).rejects.toThrow("raised TaskRevokedError('revoked')");
  });
});
