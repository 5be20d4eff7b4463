import { returnPart } from '../app/chord.ts';
import { publishCallbacks } from '../app/follow-up.ts';
import type { WorkerParts } from './parts.ts';
import type { Request } from './request.ts';
import { viewOfUnread } from './unread.ts';

/**
 * A message that came again although its task succeeded: its worker died before the acknowledgement arrived. Sends what
 * that worker may not have sent any more.
 * @returns whether the task succeeded before, so that it must not run. @throws when what follows cannot be sent
 *
 * Source: `build_tracer` of celery.app.trace (`deduplicate_successful_tasks`). Differs: a chord is told, too.
 */
export async function succeededBefore(parts: WorkerParts, request: Request): Promise<boolean> {
  const { app, backend, log, successes } = parts;
  if (successes === undefined || !request.late || !request.delivery.redelivered) return false;
  if (!backend.capabilities.persistent) return false;
  const known = successes.has(request.id);
  const record = await backend.load(request.id);
  const stored = record?.status === 'SUCCESS' ? record : undefined;
  if (stored === undefined) return known;
  const view = await viewOfUnread(parts, request.delivery, request.headers, request.body);
  const follows = view.callbacks !== null || view.chain !== null;
  if (follows && stored.children.length === 0) await publishCallbacks(app, view, stored.result);
  if (view.chord !== null) await returnPart(app, view, 'SUCCESS', stored.result);
  log.info({ taskId: request.id, task: request.displayName }, 'task already completed successfully');
  return true;
}
