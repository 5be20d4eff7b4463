import type { ResultRecord } from '../backends/backend.ts';
import { ResultTimeoutError } from '../errors.ts';
import { durationMs } from '../runtime/duration.ts';
import type { AsyncResult, GetOptions } from './async-result.ts';
import type { ResultSource } from './source.ts';
import { isReady, PROPAGATE_STATES } from './states.ts';
import { TaskResult } from './task-result.ts';
import { observe, type Observation } from './wait.ts';

const POLL_INTERVAL_MS = 500;

/**
 * Members of a group as they finish, each once. A failure ends it unless `propagate` is false. Leaving early stops all
 * waiting. One timer, one listener on the signal and one watch for each task, however many there are.
 */
export async function* completions(
  source: ResultSource,
  members: readonly AsyncResult<unknown>[],
  { timeout, signal, interval = POLL_INTERVAL_MS, propagate = true }: GetOptions = {},
): AsyncGenerator<readonly [index: number, value: unknown], void, undefined> {
  signal?.throwIfAborted();
  const intervalMs = durationMs(interval);
  const backend = members.length === 0 ? undefined : await source.backend();
  const done: (readonly [number, unknown])[] = [];
  const watches: Observation[] = [];
  const inner = new AbortController();
  let failure: { readonly error: unknown } | undefined;
  let wake: (() => void) | undefined;
  const fail = (error: unknown): void => {
    failure ??= { error };
    wake?.();
  };
  const finish = (index: number, value: unknown): void => {
    done.push([index, value]);
    wake?.();
  };
  const onAbort = (): void => fail(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer =
    timeout === undefined
      ? undefined
      : source.clock.setTimer(durationMs(timeout), () => fail(new ResultTimeoutError()));
  const watch = (id: string, onRecord: (record: ResultRecord) => void): void => {
    if (backend !== undefined) watches.push(observe(source, backend, id, intervalMs, { onRecord, onError: fail }));
  };
  const parents = new Set<string>();
  const failsWith = (record: ResultRecord): void => {
    if (PROPAGATE_STATES.has(record.status)) fail(source.toError(record));
  };
  try {
    for (const [index, member] of members.entries()) {
      if (!(member instanceof TaskResult)) {
        const options = { interval, propagate, allowInTask: true, signal: inner.signal };
        member.get(options).then((value) => finish(index, value), fail);
        continue;
      }
      const take = (record: ResultRecord): void => {
        try {
          finish(index, member.take(record, propagate));
        } catch (error) {
          fail(error);
        }
      };
      const { known } = member;
      if (known === 'ignored') finish(index, null);
      else if (known !== undefined) take(known);
      else {
        let open = true;
        watch(member.id, (record) => {
          if (!open || !isReady(record.status)) return;
          open = false;
          take(record);
        });
        for (const parent of propagate ? member.parents() : []) {
          if (parents.has(parent.id) || !(parent instanceof TaskResult)) continue;
          parents.add(parent.id);
          watch(parent.id, failsWith);
        }
      }
    }
    let at = 0;
    for (let left = members.length; left > 0;) {
      const next = done[at];
      if (next !== undefined) {
        at++;
        left--;
        yield next;
        // What was read is let go in one piece from time to time.
        if (at === 1_024) at -= done.splice(0, at).length;
      } else if (failure !== undefined) {
        throw (failure as { readonly error: unknown }).error;
      } else {
        await new Promise<void>((resolve) => (wake = resolve));
        wake = undefined;
      }
    }
  } finally {
    timer?.cancel();
    signal?.removeEventListener('abort', onAbort);
    for (const one of watches) one.close();
    inner.abort();
  }
}
