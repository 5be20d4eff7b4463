import { asDict, callDict, chordDict, groupDict, isGroup, listOf, tasksOf } from '../canvas/dict.ts';
import { chunksDict } from '../canvas/many.ts';
import { NotRegistered, NotSupported } from '../errors.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { Celery } from './celery.ts';
import { chordUnlock } from './chord-unlock.ts';
import type { TaskContext } from './context.ts';
import { Definition } from './define-task.ts';
import type { RegisteredTask } from './task.ts';

/** The tasks every worker has. Composite canvases are sent as their parts; who sends one whole gets what it stands for. */
export function builtinTasks(app: Celery): RegisteredTask[] {
  return [
    new Definition(app, 'celery.accumulate', { bind: true }, accumulate),
    new Definition(app, 'celery.backend_cleanup', {}, async () => {
      await (await app.backend()).cleanup();
    }),
    new Definition(app, 'celery.chain', { bind: true }, chain),
    new Definition(app, 'celery.chord', { bind: true }, chord),
    new Definition(app, 'celery.chunks', { bind: true }, chunks),
    new Definition(app, 'celery.group', { bind: true }, group),
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

/** Source: `celery.app.builtins.add_chain_task`. */
function chain(): never {
  throw new NotSupported('a chain is not a task: its first step is sent');
}

type Kwargs = Readonly<Record<string, unknown>>;

/** Takes a parameter by its position or by its name, as Python does. */
function parameter(ctx: TaskContext, args: readonly unknown[], at: number, name: string): unknown {
  return args[at] ?? (ctx.request.kwargs as Kwargs)[name];
}

/** Sends the list in parts of `n`. */
async function chunks(ctx: TaskContext, ...args: unknown[]): Promise<unknown> {
  const task = asDict(parameter(ctx, args, 0, 'task'));
  const it = parameter(ctx, args, 1, 'it') as readonly (readonly unknown[])[];
  return send(ctx, chunksDict(task, it, Number(parameter(ctx, args, 2, 'n'))));
}

/** Sends each task. Differs: under ids of its own, because nobody sends `celery.group` any more. */
async function group(ctx: TaskContext, ...args: unknown[]): Promise<unknown> {
  return send(ctx, groupDict(listOf(parameter(ctx, args, 0, 'tasks')).map(asDict)));
}

async function chord(ctx: TaskContext, ...args: unknown[]): Promise<unknown> {
  const header = parameter(ctx, args, 0, 'header');
  const body = asDict(parameter(ctx, args, 1, 'body'));
  return send(ctx, chordDict(members(header), body));
}

/** A header comes as a list or as a group. */
function members(header: unknown): readonly SignatureDict[] {
  if (Array.isArray(header)) return header.map(asDict);
  const dict = asDict(header);
  return isGroup(dict) ? tasksOf(dict) : [dict];
}

async function send(ctx: TaskContext, dict: SignatureDict): Promise<unknown> {
  return (await ctx.app.sender.send(dict)).toJSON();
}
