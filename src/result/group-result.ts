import type { ResultTuple } from '../protocol/result.ts';
import type { Duration } from '../runtime/duration.ts';
import type { AsyncResult, GetOptions, GroupResult } from './async-result.ts';
import { completions } from './completions.ts';
import { progressOf, type Progress, type ProgressOptions } from './progress.ts';
import { ResultBase } from './result-base.ts';
import type { ResultMeta, Snapshot } from './snapshot.ts';
import type { ResultSource, RevokeOptions, Stamps } from './source.ts';
import { isReady, PROPAGATE_STATES } from './states.ts';
import { TaskResult } from './task-result.ts';

/** Members whose records are read together. */
const MOST_READ = 1_000;

/** The handle of a group: its members' handles under one id. */
export class GroupTaskResult<T extends readonly unknown[]> extends ResultBase<T> implements GroupResult<T> {
  readonly id: string;
  readonly parent: AsyncResult<unknown> | null;
  readonly results: readonly AsyncResult<T[number]>[];
  readonly #source: ResultSource;

  constructor(
    source: ResultSource,
    id: string,
    results: readonly AsyncResult<T[number]>[],
    parent: AsyncResult<unknown> | null = null,
  ) {
    super();
    this.#source = source;
    this.id = id;
    this.results = results;
    this.parent = parent;
  }

  /** Values in the order of the members; the first failure rejects at once unless `propagate` is false. */
  async get(options: GetOptions = {}): Promise<T> {
    if (!options.allowInTask) this.#source.refuseInTask();
    const values: unknown[] = Array.from({ length: this.results.length });
    for await (const [index, value] of this.#completions(options)) values[index] = value;
    return values as unknown as T;
  }

  [Symbol.asyncIterator](): AsyncIterator<readonly [index: number, value: T[number]]> {
    return this.#completions({});
  }

  /** Members as they finish. Leaving early stops all waiting. */
  #completions(options: GetOptions): AsyncGenerator<readonly [number, T[number]], void, undefined> {
    return completions(this.#source, this.results, options) as AsyncGenerator<
      readonly [number, T[number]],
      void,
      undefined
    >;
  }

  /** SUCCESS when every member is, FAILURE when one failed, else PENDING. A group has no record of its own. */
  async state(): Promise<string> {
    const states = await this.#states();
    if (states.some((state) => state === 'FAILURE' || state === 'REVOKED')) return 'FAILURE';
    return states.every((state) => state === 'SUCCESS') ? 'SUCCESS' : 'PENDING';
  }

  /** Members that are not known to have ended are read together. */
  async #states(): Promise<string[]> {
    const open = this.results.filter((one) => one instanceof TaskResult && one.known === undefined);
    const states = new Map<string, string>();
    for (let at = 0; at < open.length; at += MOST_READ) {
      const part = open.slice(at, at + MOST_READ) as TaskResult<unknown>[];
      const records = await (await this.#source.backend()).loadMany(part.map(({ id }) => id));
      for (const [n, one] of part.entries()) states.set(one.id, one.learn(records[n]));
    }
    return Promise.all(this.results.map(async (result) => states.get(result.id) ?? (await result.state())));
  }

  async snapshot(): Promise<Snapshot<T>> {
    const common = { id: this.id, traceback: null, children: this.results.map((one) => one.toJSON()), dateDone: null };
    const states = await this.#states();
    const failed = states.findIndex((state) => PROPAGATE_STATES.has(state));
    if (failed >= 0) {
      const one = await (this.results[failed] as AsyncResult<unknown>).snapshot();
      if (one.state === 'FAILURE' || one.state === 'REVOKED') return { ...common, state: 'FAILURE', error: one.error };
    }
    if (!states.every((state) => state === 'SUCCESS')) return { ...common, state: 'PENDING' };
    const snapshots = await Promise.all(this.results.map((result) => result.snapshot()));
    const values = snapshots.map((one) => (one.state === 'SUCCESS' ? one.value : undefined));
    return { ...common, state: 'SUCCESS', value: values as unknown as T };
  }

  async ready(): Promise<boolean> {
    const states = await this.#states();
    const ready = this.results.map(async (one, n) =>
      one instanceof TaskResult ? isReady(states[n] as string) : await one.ready(),
    );
    return (await Promise.all(ready)).every(Boolean);
  }

  async successful(): Promise<boolean> {
    return (await this.#states()).every((state) => state === 'SUCCESS');
  }

  async failed(): Promise<boolean> {
    return (await this.#states()).some((state) => state === 'FAILURE');
  }

  async waiting(): Promise<boolean> {
    return !(await this.ready());
  }

  async completedCount(): Promise<number> {
    return (await this.#states()).filter((state) => state === 'SUCCESS').length;
  }

  /** The whole group's state after each member that finishes. */
  async *updates(
    options: { readonly signal?: AbortSignal; readonly interval?: Duration } = {},
  ): AsyncGenerator<Snapshot<T>, void, undefined> {
    for await (const _ of this.#completions({ ...options, propagate: false, allowInTask: true })) {
      yield await this.snapshot();
    }
  }

  progress(options: ProgressOptions = {}): AsyncGenerator<Progress, void, undefined> {
    return progressOf(this.#source, this, options);
  }

  children(): Promise<AsyncResult<unknown>[]> {
    return Promise.resolve([...this.results]);
  }

  meta(): Promise<ResultMeta> {
    const none = { name: null, args: null, kwargs: null, worker: null, retries: null, queue: null, stamps: null };
    return Promise.resolve({ ...none, groupId: this.id, parentId: this.parent?.id ?? null });
  }

  async forget(): Promise<void> {
    await Promise.all(this.results.map((result) => result.forget()));
    await this.parent?.forget();
  }

  revoke(options: RevokeOptions = {}): Promise<void> {
    return this.#source.revoke(
      this.results.map((result) => result.id),
      options,
    );
  }

  async abort(): Promise<void> {
    await Promise.all(this.results.map((result) => result.abort()));
  }

  revokeByStampedHeaders(stamps: Stamps, options: RevokeOptions = {}): Promise<void> {
    return this.#source.revokeByStamp(stamps, options);
  }

  async save(): Promise<void> {
    await (await this.#source.backend()).saveGroup(this.id, this.toJSON());
  }

  async delete(): Promise<void> {
    await (await this.#source.backend()).deleteGroup(this.id);
  }

  toJSON(): ResultTuple {
    return [[this.id, this.parent?.toJSON() ?? null], this.results.map((result) => result.toJSON())];
  }
}
