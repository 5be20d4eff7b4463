import { leavesOf } from '../canvas/call.ts';
import { asDict, listOf, withArgs } from '../canvas/dict.ts';
import { ChordError } from '../errors.ts';
import { pythonRepr, toExceptionRecord } from '../protocol/exception.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { TaskContext } from './context.ts';
import { failureRecord, publishErrbacks } from './follow-up.ts';

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
  const { app } = ctx;
  const { interval, max_retries: maxRetries = null, result } = ctx.request.kwargs as UnlockKwargs;
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
      return failBody(ctx, body, new ChordError(`Dependency ${member.id} raised ${pythonRepr(cause)}`));
    }
  }
  await app.sender.sendDetached(withArgs(body, [values]));
}

/** Whoever waits for the body, or for a part of it, is told. */
async function failBody(ctx: TaskContext, body: SignatureDict, error: ChordError): Promise<void> {
  const { app, request } = ctx;
  const backend = await app.backend();
  const record = toExceptionRecord(error, app.errorNames);
  for (const leaf of leavesOf(body)) {
    const id = leaf.options['task_id'];
    if (typeof id !== 'string') continue;
    const failed = { ...request, id, task: leaf.task, args: leaf.args, kwargs: leaf.kwargs, group: null };
    await backend.store(failureRecord(app, failed, record, null));
    const errbacks = listOf(leaf.options['link_error']);
    await publishErrbacks(app, { ...failed, errbacks }, { error, traceback: `${error.message}\n` });
  }
}
