import { asDict, withArgs } from '../canvas/dict.ts';
import { ChordError } from '../errors.ts';
import { pythonRepr } from '../protocol/exception.ts';
import type { ResultTuple } from '../protocol/result.ts';
import { failBody } from './chord.ts';
import type { TaskContext } from './context.ts';

interface UnlockKwargs {
  /** seconds */
  readonly interval?: number | null;
  readonly max_retries?: number | null;
  readonly result?: readonly ResultTuple[] | null;
}

/**
 * `celery.chord_unlock`: sends a chord's body once its whole header is ready, and comes back later until then.
 * Source: `add_unlock_chord_task` of celery.app.builtins (spec: worker-semantics.md 17).
 */
export async function chordUnlock(ctx: TaskContext, _groupId: string, callback: unknown): Promise<void> {
  const { app, request } = ctx;
  const { interval, max_retries: maxRetries = null, result } = request.kwargs as UnlockKwargs;
  const body = asDict(callback);
  const members = (result ?? []).map((tuple) => app.handle(tuple));
  const ready = await Promise.all(members.map((member) => member.ready()));
  if (!ready.every(Boolean)) {
    const seconds = interval ?? app.conf.resultChordRetryInterval;
    throw ctx.retry({ countdown: seconds * 1000, maxRetries });
  }
  const values: unknown[] = [];
  const timeout = app.conf.resultChordJoinTimeout * 1000;
  for (const member of members) {
    try {
      values.push(await member.get({ allowInTask: true, timeout }));
    } catch (cause) {
      const message = `Dependency ${member.id} raised ${pythonRepr(cause)}`;
      return failBody(app, { ...request, group: null }, body, new ChordError(message, null, cause));
    }
  }
  await app.sender.sendDetached(withArgs(body, [values]));
}
