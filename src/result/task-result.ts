import type { ResultRecord } from '../backends/backend.ts';
import { ResultTimeoutError } from '../errors.ts';
import type { ResultTuple } from '../protocol/result.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { AsyncResult, GetOptions } from './async-result.ts';
import { metaOf, snapshotOf } from './snapshot-of.ts';
import { progressOf, type Progress, type ProgressOptions } from './progress.ts';
import { ResultBase } from './result-base.ts';
import type { ResultMeta, Snapshot } from './snapshot.ts';
import type { ResultSource, RevokeOptions, Stamps } from './source.ts';
import { isReady, PROPAGATE_STATES } from './states.ts';
import { observe, type Observation } from './wait.ts';

const POLL_INTERVAL_MS = 500;
/** A reader that falls further behind than this misses intermediate states, never the final one. */
const MOST_UNREAD_UPDATES = 256;

/** The handle of one task. */
export class TaskResult<T> extends ResultBase<T> implements AsyncResult<T> {
  readonly id: string;
  readonly parent: AsyncResult<unknown> | null;
  readonly #source: ResultSource;
  /** Nothing will ever be stored. */
  readonly #ignored: boolean;
  #final: ResultRecord | undefined;

  constructor(source: ResultSource, id: string, parent: AsyncResult<unknown> | null = null, ignored = false) {
    super();
    this.#source = source;
    this.id = id;
    this.parent = parent;
    this.#ignored = ignored;
  }

  async get(options: GetOptions = {}): Promise<T> {
    if (this.#ignored) return null as T;
    if (!options.allowInTask) this.#source.refuseInTask();
    const propagate = options.propagate ?? true;
    return this.take(this.#final ?? (await this.#finalRecord(options, propagate)), propagate);
  }

  /** What is known without asking: the last record, or that there never is one. */
  get known(): ResultRecord | 'ignored' | undefined {
    return this.#ignored ? 'ignored' : this.#final;
  }

  /** Keeps a record that somebody else has read. @returns the state it tells */
  learn(record: ResultRecord | undefined): string {
    if (record === undefined) return 'PENDING';
    if (isReady(record.status)) this.#final = record;
    return record.status;
  }

  /** The value of a last record, or its error: thrown where it propagates. */
  take(record: ResultRecord, propagate: boolean): T {
    this.#final = record;
    if (!PROPAGATE_STATES.has(record.status)) return record.result as T;
    const error = this.#source.toError(record);
    if (propagate) throw error;
    return error as T;
  }

  async #finalRecord(options: GetOptions, propagate: boolean): Promise<ResultRecord> {
    options.signal?.throwIfAborted();
    const source = this.#source;
    const backend = await source.backend();
    const intervalMs = durationMs(options.interval ?? POLL_INTERVAL_MS);
    const observations: Observation[] = [];
    const release: (() => void)[] = [];
    try {
      return await new Promise<ResultRecord>((resolve, reject) => {
        if (options.timeout !== undefined) {
          const timer = source.clock.setTimer(durationMs(options.timeout), () => reject(new ResultTimeoutError()));
          release.push(() => timer.cancel());
        }
        const signal = options.signal;
        if (signal !== undefined) {
          const onAbort = (): void => reject(signal.reason as Error);
          signal.addEventListener('abort', onAbort, { once: true });
          release.push(() => signal.removeEventListener('abort', onAbort));
        }
        const onRecord = (record: ResultRecord): void => {
          if (!isReady(record.status)) return;
          this.#final = record;
          resolve(record);
        };
        observations.push(observe(source, backend, this.id, intervalMs, { onRecord, onError: reject }));
        if (!propagate) return;
        const onParent = (record: ResultRecord): void => {
          if (PROPAGATE_STATES.has(record.status)) reject(source.toError(record));
        };
        for (let node = this.parent; node !== null; node = node.parent) {
          if (!(node instanceof TaskResult)) continue;
          observations.push(observe(source, backend, node.id, intervalMs, { onRecord: onParent, onError: reject }));
        }
      });
    } finally {
      for (const observation of observations) observation.close();
      for (const undo of release) undo();
    }
  }

  async snapshot(): Promise<Snapshot<T>> {
    return snapshotOf<T>(this.#source, this.id, await this.#load());
  }

  async #load(): Promise<ResultRecord | undefined> {
    if (this.#final !== undefined || this.#ignored) return this.#final;
    const record = await (await this.#source.backend()).load(this.id);
    this.learn(record);
    return record;
  }

  async state(): Promise<string> {
    return (await this.#load())?.status ?? 'PENDING';
  }

  async ready(): Promise<boolean> {
    return isReady(await this.state());
  }

  async successful(): Promise<boolean> {
    return (await this.state()) === 'SUCCESS';
  }

  async failed(): Promise<boolean> {
    return (await this.state()) === 'FAILURE';
  }

  async *updates(
    options: { readonly signal?: AbortSignal; readonly interval?: Duration } = {},
  ): AsyncGenerator<Snapshot<T>, void, undefined> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#ignored) return;
    const backend = await this.#source.backend();
    const unread: ResultRecord[] = [];
    let failure: { readonly error: unknown } | undefined;
    let wake: (() => void) | undefined;
    const fail = (error: unknown): void => {
      failure ??= { error };
      wake?.();
    };
    const onAbort = (): void => fail(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    const observation = observe(this.#source, backend, this.id, durationMs(options.interval ?? POLL_INTERVAL_MS), {
      onRecord: (record) => {
        if (unread.length >= MOST_UNREAD_UPDATES) unread.shift();
        unread.push(record);
        wake?.();
      },
      onError: fail,
    });
    try {
      for (;;) {
        const record = unread.shift();
        if (record !== undefined) {
          if (isReady(record.status)) this.#final = record;
          yield snapshotOf<T>(this.#source, this.id, record);
          if (isReady(record.status)) return;
        } else if (failure !== undefined) {
          throw failure.error;
        } else {
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }
    } finally {
      observation.close();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async *progress(options: ProgressOptions = {}): AsyncGenerator<Progress, void, undefined> {
    if (this.#ignored) yield { successful: 0, failed: 0, total: 1, done: true };
    else yield* progressOf(this.#source, this, options);
  }

  async children(): Promise<AsyncResult<unknown>[]> {
    const record = await this.#load();
    return (record?.children ?? []).map((tuple) => this.#source.fromTuple(tuple));
  }

  async meta(): Promise<ResultMeta> {
    return metaOf(await this.#load());
  }

  async forget(): Promise<void> {
    this.#final = undefined;
    await (await this.#source.backend()).forget(this.id);
    await this.parent?.forget();
  }

  revoke(options: RevokeOptions = {}): Promise<void> {
    return this.#source.revoke([this.id], options);
  }

  async abort(): Promise<void> {
    const backend = await this.#source.backend();
    const present = await backend.load(this.id);
    if (present !== undefined && isReady(present.status)) return;
    const nothing = { result: null, traceback: null, children: [], dateDone: null };
    await backend.store({ taskId: this.id, status: 'ABORTED', ...nothing });
  }

  revokeByStampedHeaders(stamps: Stamps, options: RevokeOptions = {}): Promise<void> {
    return this.#source.revokeByStamp(stamps, options);
  }

  toJSON(): ResultTuple {
    return [[this.id, this.parent?.toJSON() ?? null], null];
  }
}
