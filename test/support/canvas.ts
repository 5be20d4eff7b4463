import { chain, chord, group, type AnySignature, type Celery } from '../../src/index.ts';
import { CeleryError } from '../../src/index.ts';

/** A canvas that both languages can build from the same description. */
export type Canvas =
  | { readonly op: 'step' | 'fail'; readonly lang: 'ts' | 'py'; readonly label: string }
  | { readonly op: 'chain' | 'group'; readonly of: readonly Canvas[] }
  | { readonly op: 'chord'; readonly of: readonly Canvas[]; readonly body: Canvas };

export interface CanvasOutcome {
  readonly state: 'SUCCESS' | 'FAILURE' | 'UNSENT';
  readonly value?: unknown;
  readonly type?: string;
  readonly error?: string;
}

/** The same text in both languages. */
export function told(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(told).join(',')}]` : String(value);
}

/** `label` or `label(what came before)`: the result of a canvas shows how it ran. */
export function step(...args: unknown[]): string {
  return args.length > 1 ? `${String(args.at(-1))}(${told(args[0])})` : String(args[0]);
}

/** Our side of the tasks in `python/tasks.py`. */
export function canvasTasks(app: Celery): void {
  app.task('ts.step', step);
  app.task('ts.fail', (...args: unknown[]) => {
    throw new TypeError(String(args.at(-1)));
  });
}

export function build(app: Celery, canvas: Canvas): AnySignature {
  switch (canvas.op) {
    case 'step':
    case 'fail': {
      const queue = canvas.lang === 'ts' ? 'ts' : 'celery';
      const task = app.remoteTask<(...args: unknown[]) => unknown>(`${canvas.lang}.${canvas.op}`, { queue });
      return task.s(canvas.label) as unknown as AnySignature;
    }
    case 'chain': {
      const [first, ...rest] = canvas.of.map((one) => build(app, one));
      return (chain as (...all: unknown[]) => AnySignature)(first, ...rest);
    }
    case 'group':
      return group(canvas.of.map((one) => build(app, one))) as unknown as AnySignature;
    case 'chord':
      return (chord as (header: unknown, body: unknown) => AnySignature)(
        canvas.of.map((one) => build(app, one)),
        build(app, canvas.body),
      );
  }
}

interface Sent {
  get(options: object): Promise<unknown>;
}

export async function outcomeOf(app: Celery, canvas: Canvas, timeout: string): Promise<CanvasOutcome> {
  const signature = build(app, canvas) as unknown as { delay(): Promise<Sent> };
  const handle = await signature.delay();
  try {
    return { state: 'SUCCESS', value: await handle.get({ timeout }) };
  } catch (error) {
    const type = CeleryError.is(error) && 'type' in error ? String(error.type) : (error as Error).name;
    return { state: 'FAILURE', type, error: (error as Error).message };
  }
}

/** What a canvas of steps must give, by its meaning alone. */
export function evaluate(canvas: Canvas, before?: unknown): unknown {
  const one = plain(canvas);
  switch (one.op) {
    case 'step':
      return before === undefined ? step(one.label) : step(before, one.label);
    case 'fail':
      throw new Error(one.label);
    case 'chain':
      return one.of.reduce((value: unknown, part) => evaluate(part, value), before);
    case 'group':
      return members(one.of).map((part) => evaluate(part, before));
    case 'chord':
      return evaluate(
        one.body,
        members(one.of).map((part) => evaluate(part, before)),
      );
  }
}

/** A chain in a chain is its steps, a group of one in a chain is its member, a chain of one is its step. */
function plain(canvas: Canvas): Canvas {
  if (canvas.op !== 'chain') return canvas;
  const of = canvas.of.flatMap(steps);
  const [only] = of;
  return of.length === 1 && only !== undefined ? only : { op: 'chain', of };
}

function steps(canvas: Canvas): Canvas[] {
  if (canvas.op === 'chain') return canvas.of.flatMap(steps);
  return canvas.op === 'group' && canvas.of.length === 1 ? steps(canvas.of[0] as Canvas) : [canvas];
}

/** Groups within a group give their members to it. */
function members(of: readonly Canvas[]): Canvas[] {
  return of.map(plain).flatMap((one) => (one.op === 'group' ? members(one.of) : [one]));
}
