import { createHash } from 'node:crypto';
import { Call } from '../canvas/call.ts';
import { asDict } from '../canvas/dict.ts';
import { freeze, idOf } from '../canvas/freeze.ts';
import { chordSize } from '../canvas/leaves.ts';
import { NotSupported, UsageError } from '../errors.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { Celery } from './celery.ts';
import type { TaskRequest } from './request.ts';

/**
 * Makes `signature` a member of the chord that a running task belongs to. It has the same id whenever the task runs
 * again, so that it counts once. Source: `Task.add_to_chord`.
 * @param nth which of the task's additions it is
 * @returns the signature, ready to be sent
 */
export async function growChord(
  app: Celery,
  request: TaskRequest,
  signature: SignatureDict,
  nth: number,
): Promise<Call> {
  const { chord, group, groupIndex } = request;
  if (chord === null || group === null) throw new UsageError('the task is not a member of a chord');
  const { chords, name } = await app.backend();
  if (chords === undefined) {
    throw new NotSupported(`a chord can grow only where the result backend counts its members, and "${name}" does not`);
  }
  const ids = { uuid: () => app.random.uuid(), oid: app.oid };
  const { dict, result } = freeze(signature, ids, {
    taskId: derivedId(request.id, nth),
    rootId: request.rootId ?? request.id,
    group: { id: group, index: groupIndex ?? undefined, named: true },
    chord: asDict(chord),
  });
  await chords.grow(group, idOf(result), chordSize(dict));
  return new Call(app, dict, result);
}

/** A version 5 UUID. */
function derivedId(id: string, nth: number): string {
  const bytes = createHash('sha1').update(`celeriac:chord-member:${id}:${nth}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
