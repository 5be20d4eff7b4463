import { asDict, callDict } from '../canvas/dict.ts';
import { NotRegistered } from '../errors.ts';
import type { Celery } from './celery.ts';
import { chordUnlock } from './chord-unlock.ts';
import type { TaskContext } from './context.ts';
import { Definition } from './define-task.ts';
import type { RegisteredTask } from './task.ts';

/** The tasks every worker has (spec: worker-semantics.md 17). Composite canvases are sent, never run, so they have none. */
export function builtinTasks(app: Celery): RegisteredTask[] {
  return [
    new Definition(app, 'celery.accumulate', { bind: true }, accumulate),
    new Definition(app, 'celery.backend_cleanup', {}, async () => {
      await (await app.backend()).cleanup();
    }),
    new Definition(app, 'celery.chord_unlock', { bind: true, ignoreResult: true, maxRetries: null }, chordUnlock),
    new Definition(app, 'celery.map', { bind: true }, (ctx: TaskContext) => inline(ctx, (item) => [item])),
    new Definition(app, 'celery.starmap', { bind: true }, (ctx: TaskContext) =>
      inline(ctx, (item) => item as unknown[]),
    ),
  ];
}

/** Its arguments, or the one at `index`. */
function accumulate(ctx: TaskContext, ...args: unknown[]): unknown {
  const index = ctx.request.kwargs['index'];
  return typeof index === 'number' ? args[index] : args;
}

/** Runs another task for every item, one after the other, without a message each. */
async function inline(ctx: TaskContext, toArgs: (item: unknown) => readonly unknown[]): Promise<unknown[]> {
  const { task, it } = ctx.request.kwargs as { task: unknown; it: readonly unknown[] };
  const dict = asDict(task);
  const inner = ctx.app.tasks.get(dict.task);
  if (inner === undefined) throw new NotRegistered(dict.task);
  const values: unknown[] = [];
  for (const item of it) {
    ctx.signal.throwIfAborted();
    values.push(await ctx.app.call(callDict(inner.name, [...toArgs(item), ...dict.args], { kwargs: dict.kwargs })));
  }
  return values;
}
