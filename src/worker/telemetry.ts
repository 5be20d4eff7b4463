import { SENT_AT_HEADER, taskEnded, taskStarted, type TaskEnded } from '../diagnostics/channels.ts';
import type { WorkerParts } from './parts.ts';
import type { Request } from './request.ts';

/** Tells whoever measures that a task begins. Nobody does: one comparison. */
export function tellStarted(parts: WorkerParts, request: Request): void {
  if (!taskStarted.hasSubscribers) return;
  const { delivery, headers, etaMs } = request;
  const sentMs = (headers as unknown as Record<string, unknown>)[SENT_AT_HEADER];
  const dueMs = etaMs ?? (typeof sentMs === 'number' ? sentMs : undefined);
  taskStarted.publish({
    worker: parts.hostname,
    taskId: request.id,
    task: request.displayName,
    queue: delivery.queue,
    redelivered: delivery.redelivered || (delivery.deliveryCount ?? 1) > 1,
    waitedMs: dueMs === undefined ? undefined : Math.max(0, parts.app.clock.now() - dueMs),
  });
}

/** Tells whoever measures that a task has ended, or will never begin. */
export function tellEnded(parts: WorkerParts, request: Request, state: TaskEnded['state']): void {
  if (!taskEnded.hasSubscribers) return;
  taskEnded.publish({
    worker: parts.hostname,
    taskId: request.id,
    task: request.displayName,
    queue: request.delivery.queue,
    state,
    runtimeMs: request.startedMs === undefined ? undefined : parts.app.clock.now() - request.startedMs,
  });
}
