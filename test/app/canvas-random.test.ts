import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Celery, type TaskContext } from '../../src/index.ts';
import { ManualClock } from '../../src/testing/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { build, evaluate, step, type Canvas } from '../support/canvas.ts';

/*
 * Random workflows with failures, retries and replaced members, in memory, under a clock that moves when told. Every
 * handle settles, with the value that the canvas means or with a failure; no step runs more often than it has to.
 * A failing run prints its seed and the smallest canvas.
 */

/** CELERIAC_SEED tries others. */
const SEED = Number(process.env['CELERIAC_SEED'] ?? 20_261_125);

/** What a label says about its step: `!` fails, `~` is retried once, `*` is replaced. */
const label = fc.tuple(fc.constantFrom('', '', '', '', '!', '~', '*')).map(([how]) => how);

const leaf = label.map((how): Canvas => ({ op: 'step', lang: 'ts', label: how }));
const { canvas } = fc.letrec<{ canvas: Canvas }>((tie) => ({
  canvas: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.array(tie('canvas'), { minLength: 1, maxLength: 3 }).map((of): Canvas => ({ op: 'chain', of })),
    fc.array(tie('canvas'), { minLength: 1, maxLength: 3 }).map((of): Canvas => ({ op: 'group', of })),
    fc
      .tuple(fc.array(tie('canvas'), { minLength: 1, maxLength: 3 }), tie('canvas'))
      .map(([of, body]): Canvas => ({ op: 'chord', of, body })),
  ),
}));

/** Gives every step a name of its own. */
function named(one: Canvas, count: { n: number }): Canvas {
  if (!('of' in one)) return { ...one, label: `${one.label}${count.n++}` };
  const of = one.of.map((part) => named(part, count));
  return one.op === 'chord' ? { ...one, of, body: named(one.body, count) } : { ...one, of };
}

function labels(one: Canvas): string[] {
  if (!('of' in one)) return [one.label];
  return [...one.of.flatMap(labels), ...(one.op === 'chord' ? labels(one.body) : [])];
}

test('random canvases settle with what they mean', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(canvas, async (random) => {
      const one = named(random, { n: 0 });
      const clock = new ManualClock();
      const runs = new Map<string, number>();
      await using app = new Celery({ broker: 'memory://', backend: 'memory://', clock });
      app.task('ts.step', { bind: true, maxRetries: 1 }, async (ctx: TaskContext, ...args: unknown[]) => {
        const name = String(args.at(-1));
        runs.set(name, (runs.get(name) ?? 0) + 1);
        if (name.startsWith('!')) throw new RangeError(name);
        if (name.startsWith('~') && ctx.retries === 0) throw ctx.retry({ countdown: '5s' });
        if (name.startsWith('*') && runs.get(name) === 1) {
          throw await ctx.replace(app.remoteTask<(...all: unknown[]) => unknown>('ts.step').si(...args));
        }
        return step(...args);
      });
      const worker = new Worker(app, { queues: ['ts', 'celery'], concurrency: 8 });
      await worker.start();
      try {
        const handle = await (
          build(app, one) as unknown as { delay(): Promise<{ get(options: object): Promise<unknown> }> }
        ).delay();
        let outcome: { readonly value?: unknown; readonly error?: unknown } | undefined;
        handle.get({}).then(
          (value) => (outcome = { value }),
          (error: unknown) => (outcome = { error }),
        );
        for (let n = 0; n < 60 && outcome === undefined; n++) await clock.advance('2s');
        const failing = labels(one).some((name) => name.startsWith('!'));
        if (failing) expect(outcome).toMatchObject({ error: expect.anything() as unknown });
        else expect(outcome).toEqual({ value: evaluate(one) });
        for (const name of labels(one)) {
          const most = /^[~*]/.test(name) ? 2 : 1;
          const count = runs.get(name) ?? 0;
          if (failing) expect([name, count <= most]).toEqual([name, true]);
          else expect([name, count]).toEqual([name, most]);
        }
      } finally {
        await worker.stop('cold');
      }
    }),
    { seed: SEED, numRuns: 150 },
  );
});
