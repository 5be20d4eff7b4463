import { TaskAborted } from '../errors.ts';
import type { Cancellable } from '../runtime/cancellation.ts';
import type { Celery } from './celery.ts';
import type { TaskRequest } from './request.ts';

/** State that asks a running task to end by itself (Celery's `contrib.abortable`). */
export const ABORTED = 'ABORTED';

/** How often a backend is asked that does not push. */
const POLL_MS = 500;

export interface AbortWatch extends Cancellable {
  close(): void;
}

/** A signal that also aborts when somebody stores ABORTED for the task, here or in Python. */
export async function watchForAbort(app: Celery, request: TaskRequest, cancellation: Cancellable): Promise<AbortWatch> {
  const asked = new AbortController();
  const backend = await app.backend();
  const onRecord = ({ status }: { readonly status: string }): void => {
    if (status === ABORTED) asked.abort(new TaskAborted());
  };
  let close: () => void;
  if (backend.capabilities.push) {
    const watch = backend.watch(request.id, onRecord);
    watch.ready.catch((error: unknown) => app.log.warn({ error, taskId: request.id }, 'an abort may go unnoticed'));
    close = () => watch.close();
  } else {
    let timer = app.clock.setTimer(POLL_MS, look);
    let open = true;
    close = () => {
      open = false;
      timer.cancel();
    };
    function look(): void {
      void backend
        .load(request.id)
        .then((record) => record && onRecord(record))
        .catch(() => {})
        .finally(() => {
          if (open) timer = app.clock.setTimer(POLL_MS, look);
        });
    }
  }
  return { signal: AbortSignal.any([cancellation.signal, asked.signal]), close };
}
