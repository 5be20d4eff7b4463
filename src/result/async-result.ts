import type { ResultTuple } from '../protocol/result.ts';
import type { Duration } from '../runtime/duration.ts';
import type { ResultMeta, Snapshot } from './snapshot.ts';
import type { RevokeOptions, Stamps } from './source.ts';

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
  children(): Promise<AsyncResult<unknown>[]>;
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
