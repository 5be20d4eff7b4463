import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { evaluate, outcomeOf, step, type Canvas, type CanvasOutcome } from '../support/canvas.ts';
import { pythonCanvases, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';

/*
 * Every nesting of two operators, and the common ones of three: on our workers, on Python's, and on both in turn; sent
 * from here and from Python. A value shows what ran, in which order, with what.
 */

const reason = missing('redis') ?? missing('python');

type Shape = (next: () => Canvas) => Canvas;
const leaf: Shape = (next) => next();
const chain =
  (...of: Shape[]): Shape =>
  (next) => ({ op: 'chain', of: of.map((one) => one(next)) });
const group =
  (...of: Shape[]): Shape =>
  (next) => ({ op: 'group', of: of.map((one) => one(next)) });
const chord =
  (of: Shape[], body: Shape): Shape =>
  (next) => ({ op: 'chord', of: of.map((one) => one(next)), body: body(next) });

const INNER: Readonly<Record<string, Shape>> = {
  chain: chain(leaf, leaf),
  group: group(leaf, leaf),
  'group of one': group(leaf),
  'group of three': group(leaf, leaf, leaf),
  chord: chord([leaf, leaf], leaf),
  'chord of one': chord([leaf], leaf),
  'chain of three': chain(leaf, leaf, leaf),
};

const OUTER: Readonly<Record<string, (inner: Shape) => Shape>> = {
  'first in a chain': (inner) => chain(inner, leaf),
  'within a chain': (inner) => chain(leaf, inner, leaf),
  'last in a chain': (inner) => chain(leaf, inner),
  'first in a group': (inner) => group(inner, leaf),
  'last in a group': (inner) => group(leaf, inner),
  'first in a header': (inner) => chord([inner, leaf], leaf),
  'last in a header': (inner) => chord([leaf, inner], leaf),
  'as a body': (inner) => chord([leaf, leaf], inner),
};

const SHAPES: (readonly [string, Shape])[] = [];
for (const [what, inner] of Object.entries(INNER)) {
  for (const [where, outer] of Object.entries(OUTER)) SHAPES.push([`${what} ${where}`, outer(inner)]);
}
for (const what of ['chain', 'group', 'chord']) {
  for (const middle of ['within a chain', 'last in a group', 'first in a header', 'as a body']) {
    for (const where of [
      'within a chain',
      'last in a chain',
      'first in a group',
      'last in a header',
      'as a body',
      'first in a chain',
    ]) {
      const inner = OUTER[middle]?.(INNER[what] as Shape) as Shape;
      SHAPES.push([`${what} ${middle} ${where}`, OUTER[where]?.(inner) as Shape]);
    }
  }
}

type Fleet = 'ts' | 'py' | 'mixed';

/** @param failing the step that fails, counted from the front */
function canvas(shape: Shape, fleet: Fleet, prefix = '', failing = -1): Canvas {
  let n = 0;
  return shape(() => {
    const label = `${prefix}${String.fromCharCode(97 + n)}`;
    const lang = fleet === 'mixed' ? (n % 2 === 0 ? 'ts' : 'py') : fleet;
    return { op: n++ === failing ? 'fail' : 'step', lang, label };
  });
}

describe.skipIf(reason !== undefined)(`canvases${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  let side: PythonSide;
  let python: PythonWorker;
  let app: Celery;
  let worker: Worker;

  beforeAll(async () => {
    redis = await startRedis();
    // Three seconds, the default, are little where everything runs at once.
    const config = { result_chord_join_timeout: 60 };
    side = { broker: redis.url(0), backend: redis.url(1), counts: true, config };
    python = await pythonWorker(side, { concurrency: 4 });
    app = new Celery({ broker: side.broker, backend: side.backend, resultChordJoinTimeout: 60 });
    const client = redis.client(1);
    app.task('ts.step', async (...args: unknown[]) => {
      await client.hincrby('counts', String(args.at(-1)), 1);
      return step(...args);
    });
    app.task('ts.fail', (...args: unknown[]) => {
      throw new TypeError(String(args.at(-1)));
    });
    worker = new Worker(app, {
      queues: ['ts'],
      hostname: 'ts@table',
      concurrency: 20,
    });
    await worker.start();
  });

  afterAll(async () => {
    await worker?.stop('cold');
    await app?.close();
    await python?.[Symbol.asyncDispose]();
    await redis?.stop();
  });

  test('there are many', () => {
    expect(new Set(SHAPES.map(([, shape]) => JSON.stringify(canvas(shape, 'ts')))).size).toBeGreaterThanOrEqual(120);
  });

  const expected = (one: Canvas): CanvasOutcome => ({ state: 'SUCCESS', value: evaluate(one) });

  /** Steps that did not run exactly once. */
  const miscounted = async (all: readonly Canvas[]): Promise<unknown[]> => {
    const counts = await redis.client(1).hgetall('counts');
    return all.flatMap(labels).flatMap((label) => (counts[label] === '1' ? [] : [[label, counts[label] ?? 0]]));
  };

  test.each<Fleet>(['ts', 'py', 'mixed'])('sent from here, fleet: %s', { timeout: 180_000 }, async (fleet) => {
    const canvases = SHAPES.map(([, shape], i) => canvas(shape, fleet, `here-${fleet}-${i}-`));
    const outcomes = await Promise.all(canvases.map((one) => outcomeOf(app, one, '60s')));
    const wrong = SHAPES.flatMap(([name], i) => {
      const want = expected(canvases[i] as Canvas);
      return text(outcomes[i]) === text(want) ? [] : [{ name, got: outcomes[i], want: want.value }];
    });
    expect(wrong).toEqual([]);
    expect(await miscounted(canvases)).toEqual([]);
  });

  test.each<[Fleet, string]>([
    ['ts', 'first'],
    ['ts', 'last'],
    ['py', 'first'],
    ['py', 'last'],
    ['mixed', 'first'],
    ['mixed', 'last'],
  ])(
    'fleet: %s, the %s step fails: whoever waits is told, nothing runs twice',
    { timeout: 180_000 },
    async (fleet, which) => {
      const canvases = SHAPES.map(([, shape], i) => {
        const at = which === 'first' ? 0 : labels(canvas(shape, 'ts')).length - 1;
        return canvas(shape, fleet, `${fleet}-${which}-${i}-`, at);
      });
      // Where a header or group lies in another, Celery's own workers may leave whoever waits for it waiting for ever.
      const maybeNever = (one: Canvas): boolean => fleet !== 'ts' && which === 'first' && nests(one);
      const outcomes = await Promise.all(canvases.map((one) => outcomeOf(app, one, maybeNever(one) ? '5s' : '60s')));
      const told = fleet === 'ts' ? ['TypeError', 'ChordError'] : ['TypeError', 'ValueError', 'ChordError'];
      const wrong = SHAPES.flatMap(([name], i) => {
        const { state, type = '' } = outcomes[i] as CanvasOutcome;
        const right = state === 'FAILURE' && (maybeNever(canvases[i] as Canvas) || told.includes(type));
        return right ? [] : [[name, outcomes[i]]];
      });
      expect(wrong).toEqual([]);
      const counts = await redis.client(1).hgetall('counts');
      expect(canvases.flatMap(labels).filter((label) => Number(counts[label] ?? 0) > 1)).toEqual([]);
    },
  );

  test.each<Fleet>(['ts', 'py', 'mixed'])('sent from Python, fleet: %s', { timeout: 180_000 }, async (fleet) => {
    const shapes = SHAPES.filter(([name]) => !NEVER_ENDS_IN_CELERY.includes(name));
    const canvases = shapes.map(([, shape], i) => canvas(shape, fleet, `there-${fleet}-${i}-`));
    const outcomes = await pythonCanvases<CanvasOutcome>(side, canvases, 100);
    const wrong = shapes.flatMap(([name], i) => {
      const one = canvases[i] as Canvas;
      const want = expected(one);
      const got = outcomes[i];
      // Celery turns the members of a group within a group around, but not always: here only their number counts.
      const same = nestsGroups(one) ? letters(got) === letters(want) : text(got) === text(want);
      return same ? [] : [{ name, got, want: want.value }];
    });
    expect(wrong).toEqual([]);
    expect(await miscounted(canvases)).toEqual([]);
  });
});

/** Sent by Celery, and left to Celery's own workers, these stay pending for ever. */
const NEVER_ENDS_IN_CELERY: readonly string[] = [
  'chain as a body first in a group',
  'chord within a chain first in a group',
];

function labels(one: Canvas): string[] {
  if (!('of' in one)) return [one.label];
  return [...one.of, ...(one.op === 'chord' ? [one.body] : [])].flatMap(labels);
}

/** Whether a group or chord lies in another one. */
function nests(one: Canvas, within = false): boolean {
  if (!('of' in one)) return false;
  const parallel = one.op !== 'chain';
  if (parallel && within) return true;
  const parts = one.op === 'chord' ? [...one.of, one.body] : one.of;
  return parts.some((part) => nests(part, within || parallel));
}

function nestsGroups(one: Canvas, within = false): boolean {
  if (!('of' in one)) return false;
  if (one.op === 'group' && within) return true;
  const inside = one.op !== 'chain';
  return one.of.some((part) => nestsGroups(part, inside)) || (one.op === 'chord' && nestsGroups(one.body));
}

function text(outcome: CanvasOutcome | undefined): string {
  return JSON.stringify(outcome);
}

function letters(outcome: CanvasOutcome | undefined): string {
  return text(outcome).split('').sort().join('');
}
