import { afterEach, describe, expect, test } from 'vitest';
import { Celery, chord, type AnySignature, type AsyncResult, type CeleryOptions } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { canvasTasks, evaluate, outcomeOf, type Canvas } from '../support/canvas.ts';
import { pythonCanvases, pythonWorker, type PythonSide } from '../support/python.ts';
import { until } from '../support/until.ts';

/*
 * Settings of chords, on a fleet of both languages.
 */

const reason = missing('redis') ?? missing('python');
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function fleet(options: CeleryOptions, config: PythonSide['config']) {
  const redis = await startRedis();
  closers.push(() => redis.stop());
  const side: PythonSide = { broker: redis.url(0), backend: redis.url(1), ...(config === undefined ? {} : { config }) };
  const python = await pythonWorker(side);
  closers.push(() => python[Symbol.asyncDispose]());
  const app = new Celery({ broker: side.broker, backend: side.backend, ...options });
  closers.push(() => app.close());
  canvasTasks(app);
  app.task('ts.note', async (id: string) => void (await redis.client(1).rpush('notes', id)));
  const worker = new Worker(app, { queues: ['ts'], hostname: 'ts@settings', concurrency: 8 });
  closers.push(() => worker.stop('cold'));
  await worker.start();
  return { redis, side, app };
}

describe.skipIf(reason !== undefined)(`chords on Redis${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  const step = (lang: 'ts' | 'py', label: string): Canvas => ({ op: 'step', lang, label });

  test('without result_chord_ordered, members are a list on both sides', async () => {
    const unordered = { result_chord_ordered: false };
    const { redis, side, app } = await fleet(
      { resultBackendTransportOptions: unordered },
      { result_backend_transport_options: unordered },
    );
    const canvas: Canvas = {
      op: 'chord',
      of: [step('ts', 'a'), step('py', 'b'), step('ts', 'c')],
      body: step('ts', 'd'),
    };
    const sorted = (text: unknown): string => String(text).split('').toSorted().join('');
    const here = await outcomeOf(app, canvas, '30s');
    const [there] = await pythonCanvases<{ value?: unknown }>(side, [canvas], 30);
    expect([sorted(here.value), sorted(there?.value)]).toEqual([sorted(evaluate(canvas)), sorted(evaluate(canvas))]);
    // A member that waits for the others is in a list.
    const half: Canvas = {
      op: 'chord',
      of: [step('ts', 'a'), { op: 'step', lang: 'py', label: 'b' }],
      body: step('ts', 'd'),
    };
    const waits = await chordOf(app, half, { countdown: '20s' });
    const key = await until(async () => (await redis.client(1).keys('celery-taskset-meta-*.j'))[0], {
      message: 'the first member has ended',
    });
    expect(await redis.client(1).type(key)).toBe('list');
    await waits.revoke();
  });

  test('with task_allow_error_cb_on_chord_header the errback of the body is the header’s too (CAN-19)', async () => {
    const { redis, app } = await fleet(
      { taskAllowErrorCbOnChordHeader: true },
      { task_allow_error_cb_on_chord_header: true },
    );
    const fail = (lang: 'ts' | 'py'): AnySignature =>
      app
        .remoteTask<(label: string) => string>(`${lang}.fail`, { queue: lang === 'ts' ? 'ts' : 'celery' })
        .s('broken') as unknown as AnySignature;
    const note = app.remoteTask<(id: string) => void>('ts.note', { queue: 'ts' });
    const body = app.remoteTask<(values: unknown[]) => string>('ts.step', { queue: 'ts' });
    const header = [fail('ts'), fail('py')] as never;
    const result = await chord(header, body.s().linkError(note.s()) as never).delay();
    await expect((result as AsyncResult<unknown>).get({ timeout: '30s' })).rejects.toThrow('broken');
    // Once for each member that failed, and once for the body.
    const called = await until(
      async () => {
        const all = await redis.client(1).lrange('notes', 0, -1);
        return all.length >= 3 ? all : undefined;
      },
      { message: 'three errbacks ran' },
    );
    expect(new Set(called).size).toBe(3);
    expect(called).toContain((result as AsyncResult<unknown>).id);
  });
});

/** A chord whose second member comes late. */
async function chordOf(app: Celery, canvas: Canvas, options: object): Promise<AsyncResult<unknown>> {
  if (canvas.op !== 'chord') throw new Error('expected a chord');
  const leaf = (one: Canvas): AnySignature =>
    app
      .remoteTask<(label: string) => string>(`${(one as { lang: string }).lang}.step`, {
        queue: (one as { lang: string }).lang === 'ts' ? 'ts' : 'celery',
      })
      .s((one as { label: string }).label) as unknown as AnySignature;
  const [first, second] = canvas.of.map(leaf);
  const late = (second as unknown as { set(options: object): AnySignature }).set(options);
  return (await chord([first, late] as never, leaf(canvas.body) as never).delay()) as AsyncResult<unknown>;
}
