import type { AsyncResult } from '../result/async-result.ts';
import type { EagerResult } from '../result/eager-result.ts';
import type { CallOptions } from '../canvas/call-options.ts';
import type { Arities, Open, Signature, Suffix } from '../canvas/types.ts';
import type { TaskContext } from './context.ts';
import type { StandardSchema } from './schema.ts';
import type { ResolvedTaskOptions, TaskOptions, WithContext, WithoutContext } from './task-options.ts';

/** A task that runs somewhere else: its name and its types. */
export interface RemoteTask<Args extends unknown[], Out> {
  readonly name: string;
  delay(...args: Args): Promise<AsyncResult<Out>>;
  applyAsync(args: Args, options?: CallOptions): Promise<AsyncResult<Out>>;
  /** Binds trailing arguments; the ones before them come from the previous step. */
  s<Bound extends Suffix<Arities<Args>>>(...bound: Bound): Signature<Open<Arities<Args>, Bound>, Out>;
  /** Immutable: ignores whatever the previous step returned. */
  si(...args: Args): Signature<unknown[], Out>;
  /** One message that runs the task for every item, one after the other. */
  map(items: readonly Args[0][]): Signature<unknown[], Out[]>;
  starmap(argLists: readonly Args[]): Signature<unknown[], Out[]>;
  /** A message for every `size` argument lists. */
  chunks(argLists: readonly Args[], size: number): Signature<unknown[], Out[][]>;
}

/** A task that is defined here. */
export interface Task<Args extends unknown[], Out> extends RemoteTask<Args, Out> {
  /** Calls the body like a function: no message, no result, errors come as they are. */
  run(...args: Args): Promise<Out>;
  /** Runs the whole task here, with hooks, links and retries. */
  apply(args: Args, options?: CallOptions): Promise<EagerResult<Out>>;
}

/** How a function of this type is called as a task. */
export type TaskOf<F extends (...args: never[]) => unknown> = F extends (...args: infer A) => infer R
  ? RemoteTask<A, Awaited<R>>
  : never;

/** `bind: true` hands the context to the handler first, as in Celery; `args` validates and infers. */
export interface DefineTask {
  <A extends unknown[], R>(name: string, handler: (...args: A) => R): Task<A, Awaited<R>>;
  <I extends unknown[], O extends unknown[], R>(
    name: string,
    options: WithContext & { readonly args: StandardSchema<I, O> },
    handler: (ctx: TaskContext, ...args: O) => R,
  ): Task<I, Awaited<R>>;
  <I extends unknown[], O extends unknown[], R>(
    name: string,
    options: WithoutContext & { readonly args: StandardSchema<I, O> },
    handler: (...args: O) => R,
  ): Task<I, Awaited<R>>;
  <A extends unknown[], R>(
    name: string,
    options: WithContext,
    handler: (ctx: TaskContext, ...args: A) => R,
  ): Task<A, Awaited<R>>;
  <A extends unknown[], R>(name: string, options: WithoutContext, handler: (...args: A) => R): Task<A, Awaited<R>>;
  /**
   * The same function with options of its own for what a definition leaves open, as a base class gives them in Celery.
   * Of `hooks`, each definition may replace single ones.
   *
   * @example
   * const critical = app.task.extend({ acksLate: true, maxRetries: 10, hooks: { onFailure: page } });
   * const charge = critical('billing.charge', (order: string) => order);
   */
  extend(base: TaskOptions): DefineTask;
}

export type Handler = (...args: never[]) => unknown;

/** A task as the worker sees it. */
export interface RegisteredTask {
  readonly name: string;
  readonly handler: Handler;
  /** The handler takes the context first. */
  readonly bind: boolean;
  readonly options: ResolvedTaskOptions;
  /** Positional arguments the handler takes, context not counted. */
  readonly arity: Arity;
}

export interface Arity {
  /** Infinity where the handler takes any number. */
  readonly max: number;
}
