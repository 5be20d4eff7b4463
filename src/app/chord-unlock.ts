import { asDict, bodyOf, headerOf, isChain, isChord, isGroup, tasksOf, withOptions } from '../canvas/dict.ts';
import { ChordError, ImproperlyConfigured } from '../errors.ts';
import { pythonRepr } from '../protocol/exception.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { Celery } from './celery.ts';
import { failBody, sendBody } from './chord.ts';
import type { TaskContext } from './context.ts';

interface UnlockKwargs {
  /** seconds */
  readonly interval?: number | null;
  readonly max_retries?: number | null;
  readonly result?: readonly ResultTuple[] | null;
}

/**
 * `celery.chord_unlock`: sends a chord's body once its whole header is ready, and comes back later until then.
 * Source: `add_unlock_chord_task` of celery.app.builtins (spec: worker-semantics.md 17). Differs: where it gives up, after
 * `max_retries` or once results of the header may have expired, the body fails instead of waiting for ever.
 */
export async function chordUnlock(ctx: TaskContext, _groupId: string, callback: unknown): Promise<void> {
  const { app, request } = ctx;
  const { interval, max_retries: most, result } = request.kwargs as UnlockKwargs;
  const body = asDict(callback);
  const own = { ...request, group: null };
  const members = (result ?? []).map((tuple) => app.handle(tuple));
  const ready = await Promise.all(members.map((member) => member.ready()));
  if (!ready.every(Boolean)) {
    const seconds = interval ?? app.conf.resultChordRetryInterval;
    const given = most !== null && most !== undefined && request.retries >= most;
    const lifetime = app.conf.resultExpires ?? 0;
    if (given || (lifetime > 0 && request.retries * seconds >= lifetime)) {
      const missing = members.filter((_, n) => !ready[n]).map(({ id }) => id);
      const first = missing.slice(0, 5).join(', ');
      return failBody(app, own, body, new ChordError(`${missing.length} members of the header never ended: ${first}`));
    }
    throw ctx.retry({ countdown: seconds * 1000, maxRetries: null });
  }
  const values: unknown[] = [];
  const timeout = app.conf.resultChordJoinTimeout * 1000;
  for (const member of members) {
    try {
      values.push(await member.get({ allowInTask: true, timeout }));
    } catch (cause) {
      const message = `Dependency ${member.id} raised ${pythonRepr(cause, app.errorNames)}`;
      return failBody(app, own, body, new ChordError(message, null, cause));
    }
  }
  await sendBody(app, own, body, values);
}

/** The task that waits goes where its body will go: whoever runs that can run this. Source: `fallback_chord_unlock`. */
export function unlockRouted(app: Celery, call: SignatureDict): SignatureDict {
  if (call.task !== 'celery.chord_unlock' || call.options['queue'] != null) return call;
  try {
    return withOptions(call, { queue: app.publisher.addressOf(firstOf(asDict(call.args[1]))) });
  } catch (error) {
    // A body that cannot be sent fails when its turn comes.
    if (error instanceof ImproperlyConfigured) return call;
    throw error;
  }
}

function firstOf(dict: SignatureDict): SignatureDict {
  const [first] = isChord(dict)
    ? [...headerOf(dict), bodyOf(dict)]
    : isChain(dict) || isGroup(dict)
      ? tasksOf(dict)
      : [];
  return first === undefined ? dict : firstOf(asDict(first));
}
