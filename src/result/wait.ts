import type { ResultBackend, ResultRecord } from '../backends/backend.ts';
import { OperationalError } from '../errors.ts';
import { sleep } from '../runtime/clock.ts';
import type { ResultSource } from './source.ts';

export interface Observation {
  /** Stops reporting. Harmless twice. */
  close(): void;
}

export interface Observer {
  readonly onRecord: (record: ResultRecord) => void;
  /** The backend can no longer be asked; nothing follows. */
  readonly onError: (error: unknown) => void;
}

/**
 * Reports the present record of a task and every later one. Where the backend does not push, it is asked
 * every `intervalMs`. An outage of a polled backend is waited out: the caller's deadline is what ends it.
 */
export function observe(
  source: ResultSource,
  backend: ResultBackend,
  taskId: string,
  intervalMs: number,
  observer: Observer,
): Observation {
  if (!backend.capabilities.push) return poll(source, backend, taskId, intervalMs, observer);
  const watch = backend.watch(taskId, observer.onRecord);
  watch.ready.catch(observer.onError);
  return watch;
}

function poll(
  source: ResultSource,
  backend: ResultBackend,
  taskId: string,
  intervalMs: number,
  observer: Observer,
): Observation {
  const stop = new AbortController();
  void (async () => {
    let seen: string | undefined;
    while (!stop.signal.aborted) {
      const record = await backend.load(taskId).catch(ignoreOutage);
      if (stop.signal.aborted) return;
      const now = record && JSON.stringify([record.status, record.result]);
      if (record && now !== seen) observer.onRecord(record);
      seen = now;
      await sleep(source.clock, intervalMs, stop.signal);
    }
  })().catch((error: unknown) => {
    if (!stop.signal.aborted) observer.onError(error);
  });
  return { close: () => stop.abort() };
}

function ignoreOutage(error: unknown): undefined {
  if (error instanceof OperationalError && error.recoverable) return undefined;
  throw error;
}
