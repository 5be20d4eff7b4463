import { durationMs, type Duration } from '../runtime/duration.ts';
import type { AsyncResult } from './async-result.ts';
import type { ResultSource } from './source.ts';
import { isReady } from './states.ts';
import { observe, type Observation } from './wait.ts';

/** How far a workflow is. */
export interface Progress {
  /** Tasks that ended with a value. */
  readonly successful: number;
  /** Tasks that failed or were revoked. */
  readonly failed: number;
  /** Tasks that the handle knows: its own, those before it, and the members of groups among them. */
  readonly total: number;
  /** The handle itself is ready: nothing follows. */
  readonly done: boolean;
}

export interface ProgressOptions {
  readonly signal?: AbortSignal;
  /** Pause between two looks where the backend does not push. @default '0.5s' */
  readonly interval?: Duration;
}

const POLL_INTERVAL_MS = 500;

/** Counts as they change: what changes between two reads comes as one. Ends when `handle` is ready. */
export async function* progressOf(
  source: ResultSource,
  handle: AsyncResult<unknown>,
  { signal, interval = POLL_INTERVAL_MS }: ProgressOptions = {},
): AsyncGenerator<Progress, void, undefined> {
  signal?.throwIfAborted();
  const own = new Set(leavesOf(handle));
  const ids = new Set([...own, ...handle.parents().flatMap(leavesOf)]);
  const backend = await source.backend();
  const states = new Map<string, string>();
  let failure: { readonly error: unknown } | undefined;
  let wake: (() => void) | undefined;
  const fail = (error: unknown): void => {
    failure ??= { error };
    wake?.();
  };
  const onAbort = (): void => fail(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const watches = new Map<string, Observation>();
  let left = own.size;
  let successful = 0;
  const count = (id: string, state: string): void => {
    // A run that went better counts instead of the one before it.
    const before = states.get(id);
    if (before === state || before === 'SUCCESS') return;
    states.set(id, state);
    if (state === 'SUCCESS') successful++;
    if (before === undefined && own.has(id)) left--;
    if (state === 'SUCCESS') watches.get(id)?.close();
    wake?.();
  };
  try {
    for (const id of ids) {
      const onRecord = ({ status }: { readonly status: string }): void => {
        if (isReady(status)) count(id, status);
      };
      watches.set(id, observe(source, backend, id, durationMs(interval), { onRecord, onError: fail }));
    }
    let told: string | undefined;
    for (;;) {
      if (failure !== undefined) throw (failure as { readonly error: unknown }).error;
      const progress = { successful, failed: states.size - successful, total: ids.size, done: left === 0 };
      const text = `${progress.successful} ${progress.failed} ${progress.done}`;
      if (text !== told) {
        told = text;
        yield progress;
        if (progress.done) return;
      } else {
        await new Promise<void>((resolve) => (wake = resolve));
        wake = undefined;
      }
    }
  } finally {
    for (const watch of watches.values()) watch.close();
    signal?.removeEventListener('abort', onAbort);
  }
}

/** Ids of the tasks that a handle stands for, without its parents. */
function leavesOf(handle: AsyncResult<unknown>): string[] {
  const { results } = handle as { readonly results?: readonly AsyncResult<unknown>[] };
  return results === undefined ? [handle.id] : results.flatMap(leavesOf);
}
