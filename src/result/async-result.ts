import type { ResultTuple } from '../protocol/result.ts';
import type { Duration } from '../runtime/duration.ts';
import type { ResultGraph } from './graph.ts';
import type { Progress, ProgressOptions } from './progress.ts';
import type { ResultMeta, Snapshot } from './snapshot.ts';
import type { RevokeOptions, Stamps } from './source.ts';
import type { WalkOptions, WalkStep } from './walk.ts';

export interface GetOptions {
  /** @default no limit */
  readonly timeout?: Duration;
  readonly signal?: AbortSignal;
  /** `false`: resolve to the error instead of throwing it. @default true */
  readonly propagate?: boolean;
  /** Permits waiting inside a task; the worker needs a free slot for the other one. @default false */
  readonly allowInTask?: boolean;
  /** Pause between two looks where the backend does not push. @default '0.5s' */
  readonly interval?: Duration;
}

/** A task that has been sent. Not thenable on purpose: `await task.delay()` yields the handle, not the value. */
export interface AsyncResult<out T> {
  readonly id: string;
  /** Handle of the step before, in a chain. */
  readonly parent: AsyncResult<unknown> | null;
  /** Resolves to the task's value; rejects with its error. */
  get(options?: GetOptions): Promise<T>;
  snapshot(): Promise<Snapshot<T>>;
  state(): Promise<string>;
  ready(): Promise<boolean>;
  successful(): Promise<boolean>;
  failed(): Promise<boolean>;
  /** Every state as it is stored, until one is final. */
  updates(options?: { readonly signal?: AbortSignal; readonly interval?: Duration }): AsyncIterable<Snapshot<T>>;
  /**
   * How many tasks of the workflow have ended, whenever that changes: this one, those before it, members of groups.
   * @example for await (const { successful, total } of result.progress()) bar.update(successful / total);
   */
  progress(options?: ProgressOptions): AsyncIterable<Progress>;
  /** Handles of what the task sent and of what followed it; a group's are its members. Empty while it is not ready. */
  children(): Promise<AsyncResult<unknown>[]>;
  /** Handles of what came before it, the nearest first. */
  parents(): AsyncResult<unknown>[];
  /** Its id and those of its parents. */
  asList(): string[];
  /**
   * The tree of children, the nearest first, each with the one it is a child of.
   * @throws {IncompleteStream} at a task that is not ready, unless `intermediate`
   */
  iterdeps(options?: WalkOptions): AsyncIterable<WalkStep>;
  /** The tree of children with their values, each awaited in turn. */
  collect(options?: WalkOptions & GetOptions): AsyncIterable<readonly [result: AsyncResult<unknown>, value: unknown]>;
  /** The value of the last result of that tree. */
  getLeaf(options?: GetOptions): Promise<unknown>;
  /** That tree as nodes and edges, with their states; draws itself as text, Graphviz and Mermaid. */
  graph(options?: WalkOptions): Promise<ResultGraph>;
  meta(): Promise<ResultMeta>;
  /** Removes the stored result, and those of its parents. */
  forget(): Promise<void>;
  revoke(options?: RevokeOptions): Promise<void>;
  /** Asks a task defined as abortable, here or in Python, to end by itself. A finished task stays as it is. */
  abort(): Promise<void>;
  /** Revokes every task that carries these stamps, this one or not. */
  revokeByStampedHeaders(stamps: Stamps, options?: RevokeOptions): Promise<void>;
  toJSON(): ResultTuple;
}

/** A group that has been sent. `get()` keeps the order of the header; iterating follows the order of completion. */
export interface GroupResult<out T extends readonly unknown[]>
  extends AsyncResult<T>, AsyncIterable<readonly [index: number, value: T[number]]> {
  readonly results: readonly AsyncResult<T[number]>[];
  /** How many members were successful. */
  completedCount(): Promise<number>;
  waiting(): Promise<boolean>;
  /** Stores the list of members, so that `app.restoreGroup(id)` finds it. */
  save(): Promise<void>;
  /** Removes the stored list. */
  delete(): Promise<void>;
}
