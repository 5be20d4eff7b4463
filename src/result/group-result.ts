import type { ResultTuple } from '../protocol/result.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { AsyncResult, GetOptions, GroupResult } from './async-result.ts';
import { progressOf, type Progress, type ProgressOptions } from './progress.ts';
import { ResultBase } from './result-base.ts';
import type { ResultMeta, Snapshot } from './snapshot.ts';
import type { ResultSource, RevokeOptions, Stamps } from './source.ts';

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
  async *#completions(options: GetOptions): AsyncGenerator<readonly [number, T[number]], void, undefined> {
    const { timeout, signal, ...rest } = options;
    const dueMs = timeout === undefined ? undefined : this.#source.clock.monotonic() + durationMs(timeout);
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    const done: (readonly [number, T[number]])[] = [];
    let failure: { readonly error: unknown } | undefined;
    let wake: (() => void) | undefined;
    const fail = (error: unknown): void => {
      failure ??= { error };
      wake?.();
    };
    for (const [index, result] of this.results.entries()) {
      const left = dueMs === undefined ? {} : { timeout: Math.max(0, dueMs - this.#source.clock.monotonic()) };
      result.get({ ...rest, ...left, signal: stop.signal }).then((value) => {
        done.push([index, value]);
        wake?.();
      }, fail);
    }
    try {
      for (let left = this.results.length; left > 0;) {
        const next = done.shift();
        if (next !== undefined) {
          left -= 1;
          yield next;
        } else if (failure !== undefined) {
          throw failure.error;
        } else {
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      stop.abort();
    }
  }

  /** SUCCESS when every member is, FAILURE when one failed, else PENDING. A group has no record of its own. */
  async state(): Promise<string> {
    const states = await this.#states();
    if (states.some((state) => state === 'FAILURE' || state === 'REVOKED')) return 'FAILURE';
    return states.every((state) => state === 'SUCCESS') ? 'SUCCESS' : 'PENDING';
  }

  #states(): Promise<string[]> {
    return Promise.all(this.results.map((result) => result.state()));
  }

  async snapshot(): Promise<Snapshot<T>> {
    const common = { id: this.id, traceback: null, children: this.results.map((one) => one.toJSON()), dateDone: null };
    const snapshots = await Promise.all(this.results.map((result) => result.snapshot()));
    for (const one of snapshots) {
      if (one.state === 'FAILURE' || one.state === 'REVOKED') return { ...common, state: 'FAILURE', error: one.error };
    }
    const values = snapshots.map((one) => (one.state === 'SUCCESS' ? one.value : undefined));
    return snapshots.every((one) => one.state === 'SUCCESS')
      ? { ...common, state: 'SUCCESS', value: values as unknown as T }
      : { ...common, state: 'PENDING' };
  }

  async ready(): Promise<boolean> {
    return (await Promise.all(this.results.map((result) => result.ready()))).every(Boolean);
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
    const none = { name: null, args: null, kwargs: null, worker: null, retries: null, queue: null };
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
