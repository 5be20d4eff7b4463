import { ChildLostError } from '../pools/pool.ts';
import type { Suspicion } from '../transports/transport.ts';
import { discardExhausted } from './discard.ts';
import type { WorkerParts } from './parts.ts';
import type { Request } from './request.ts';
import { reject } from './settle.ts';
import type { Suspects } from './suspects.ts';

/** Ids remembered; the oldest is forgotten first. */
const MOST_REMEMBERED = 10_000;

/** How often children died under a message: the broker does not count what the parent returns to it. */
export class Losses {
  readonly #counts = new Map<string, number>();

  /** @returns times it happened, this one included */
  add(id: string): number {
    const count = (this.#counts.get(id) ?? 0) + 1;
    this.#counts.delete(id);
    this.#counts.set(id, count);
    if (this.#counts.size > MOST_REMEMBERED) this.#counts.delete(this.#counts.keys().next().value as string);
    return count;
  }

  forget(id: string): void {
    this.#counts.delete(id);
  }
}

/**
 * A message that came back, where only deaths under a run count: put to the dead letters once they were as many as
 * `maxDeliveries` allows. The first run is not written down, which would cost every task a round trip: that it came back
 * counts for it. Where a broker keeps one note, the last run that is allowed is written down.
 * @returns whether it was put away
 */
export async function killsWorkers(
  parts: WorkerParts,
  request: Request,
  suspicion: Suspicion,
  suspects: Suspects<Request>,
): Promise<boolean> {
  const { maxDeliveries } = parts.app.conf;
  const { returns, everyRun } = suspicion;
  if (maxDeliveries === null || !request.late || returns < (everyRun ? 1 : maxDeliveries - 1)) return false;
  if (returns >= maxDeliveries - 1) await suspects.turn(request);
  if (request.state !== 'running') return false;
  try {
    if (!(await suspicion.begin(maxDeliveries - 1))) return false;
  } catch (error) {
    // A link that broke meanwhile: the message comes again.
    parts.log.warn({ error, taskId: request.id }, 'whether a message kills its workers is not known');
    return false;
  }
  await discardExhausted(parts, request, returns);
  return true;
}

/**
 * A task whose child died, where it may run again: back to the queue, or to the dead letters once it killed its child
 * as often as `maxDeliveries` allows. A bystander of another task's death always runs again.
 * @returns whether that settled it; else it failed
 *
 * Source: `Request.on_failure`. Differs: Celery returns it without end.
 */
export async function repeatLost(parts: WorkerParts, request: Request, error: unknown): Promise<boolean> {
  if (!(error instanceof ChildLostError) || !request.late || request.acknowledged) return false;
  const { bystander } = error;
  if (!bystander && !request.task.options.rejectOnWorkerLost) return false;
  const { maxDeliveries } = parts.app.conf;
  const losses = bystander ? 0 : parts.losses.add(request.id);
  const fields = { taskId: request.id, task: request.displayName, losses, error };
  if (maxDeliveries !== null && losses >= maxDeliveries) {
    parts.losses.forget(request.id);
    await discardExhausted(parts, request, losses);
    return true;
  }
  parts.log.warn(fields, 'the child of a task was lost: the task goes back to its queue');
  reject(parts, request, true);
  return true;
}
