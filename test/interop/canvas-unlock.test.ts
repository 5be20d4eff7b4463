import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBackend } from '../../src/backends/redis.ts';
import { Celery } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { context, startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { canvasTasks, outcomeOf, type Canvas } from '../support/canvas.ts';
import { pythonCalls, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';
import { withoutChords } from '../support/without-chords.ts';

/*
 * Chords where the store counts nothing: `celery.chord_unlock` waits for the header, here or in Python. The store is a
 * Redis whose counting we do not use.
 */

const reason = missing('redis') ?? missing('python');

const ts = (label: string): Canvas => ({ op: 'step', lang: 'ts', label });
const py = (label: string): Canvas => ({ op: 'step', lang: 'py', label });
const fail = (lang: 'ts' | 'py'): Canvas => ({ op: 'fail', lang, label: 'broken' });
const chained = (...of: Canvas[]): Canvas => ({ op: 'chain', of });
const grouped = (...of: Canvas[]): Canvas => ({ op: 'group', of });
const chorded = (of: Canvas[], body: Canvas): Canvas => ({ op: 'chord', of, body });

describe.skipIf(reason !== undefined)(`unlocked chords${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  let side: PythonSide;
  let python: PythonWorker;
  let app: Celery;
  let worker: Worker;

  beforeAll(async () => {
    redis = await startRedis();
    side = { broker: redis.url(0), backend: redis.url(1) };
    python = await pythonWorker(side);
    const backend = createBackend(side.backend, { expiresMs: 86_400_000, transportOptions: {} }, context());
    app = new Celery({ broker: side.broker, backend: withoutChords(backend), resultChordRetryInterval: 0.2 });
    canvasTasks(app);
    worker = new Worker(app, { queues: ['ts'], hostname: 'ts@unlock', concurrency: 10 });
    await worker.start();
  });

  afterAll(async () => {
    await worker?.stop('cold');
    await app?.close();
    await python?.[Symbol.asyncDispose]();
    await redis?.stop();
  });

  const CASES: readonly (readonly [string, Canvas, unknown])[] = [
    ['the body here', chorded([ts('a'), py('b')], ts('c')), 'c([a,b])'],
    ['the body there, so that Python unlocks', chorded([ts('a'), py('b')], py('c')), 'c([a,b])'],
    ['chains in the header', chorded([chained(ts('a'), py('b')), py('c')], ts('d')), 'd([b(a),c])'],
    ['a chain as body', chorded([ts('a'), py('b')], chained(py('c'), ts('d'))), 'd(c([a,b]))'],
    ['a chord in the header', chorded([chorded([ts('a'), py('b')], ts('c')), py('d')], ts('e')), 'e([c([a,b]),d])'],
    ['a chord in a chain', chained(ts('a'), grouped(ts('b'), py('c')), ts('d'), py('e')), 'e(d([b(a),c(a)]))'],
    ['a chord as body', chorded([ts('a')], chorded([ts('b'), ts('c')], ts('d'))), 'd([b([a]),c([a])])'],
    ['an empty header', chorded([], ts('a')), 'a([])'],
  ];

  test('values come in the order of the header', async () => {
    const outcomes = await Promise.all(CASES.map(([, canvas]) => outcomeOf(app, canvas, '45s')));
    expect(CASES.map(([name], i) => [name, outcomes[i]])).toEqual(
      CASES.map(([name, , value]) => [name, { state: 'SUCCESS', value }]),
    );
  });

  test.each(['ts', 'py'] as const)('a failed member fails the body, unlocked in %s', async (lang) => {
    const body: Canvas = { op: 'step', lang, label: 'body' };
    const canvases = [chorded([ts('a'), fail('py')], body), chorded([fail('ts'), py('a')], body)];
    for (const outcome of await Promise.all(canvases.map((canvas) => outcomeOf(app, canvas, '45s')))) {
      expect(outcome).toMatchObject({ state: 'FAILURE', type: 'ChordError' });
      // Python does not always find out which member it was.
      const which = lang === 'ts' ? 'Dependency [-\\w]+ raised ' : '(Dependency [-\\w]+ raised )?';
      expect(outcome.error).toMatch(new RegExp(`^${which}(TypeError|ValueError)\\('broken'\\)$`));
    }
  });

  test('what Python would send to unlock a chord is run here, and gives up in the end', async () => {
    const body = (id: string) => ({
      task: 'ts.step',
      args: ['body'],
      kwargs: {},
      options: { task_id: id, queue: 'ts' },
      subtask_type: null,
      immutable: false,
    });
    const [member] = await pythonCalls(side, [{ name: 'py.step', args: ['m'] }]);
    const unlock = (id: string, result: unknown, more: object) => ({
      name: 'celery.chord_unlock',
      args: [`group-${id}`, body(id)],
      kwargs: { interval: 0.2, result, ...more },
      options: { queue: 'ts', ignore_result: true },
      forget: true,
    });
    await pythonCalls(side, [
      unlock('body-1', [[[member?.id, null], null]], { max_retries: null }),
      unlock('body-2', [[['never-sent', null], null]], { max_retries: 2 }),
    ]);
    expect(await app.result('body-1').get({ timeout: '20s' })).toBe('body([m])');
    await expect(app.result('body-2').get({ timeout: '20s' })).rejects.toThrow(
      '1 members of the header never ended: never-sent',
    );
  });
});

test('a store that cannot be asked refuses chords, alone and within other canvases, before anything is sent', async () => {
  const app = new Celery({ broker: 'memory://', backend: 'memory://' });
  const rpc = new Celery({ broker: 'memory://', backend: withoutChords(await app.backend(), 'rpc') });
  for (const canvas of [
    chorded([ts('a')], ts('b')),
    chained(ts('a'), grouped(ts('b'), ts('c')), ts('d')),
    grouped(ts('a'), chorded([ts('b')], ts('c'))),
  ]) {
    await expect(outcomeOf(rpc, canvas, '1s')).rejects.toMatchObject({
      code: 'ERR_NOT_SUPPORTED',
      message: expect.stringContaining('"rpc"') as string,
    });
  }
  await rpc.close();
  await app.close();
});
