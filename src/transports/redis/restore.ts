import type { KeySpace } from './keys.ts';
import { markRedelivered, readRecord, type HeldRecord } from './record.ts';
import { RESTORE } from './scripts.ts';
import type { Argument, RedisSocket } from './socket.ts';

/** A message in `unacked` as it is about to be put back. */
export interface Held {
  readonly tag: string;
  /** It is put back only while its score is this one. */
  score: string;
  /** Lists it goes to. */
  readonly targets: readonly string[];
  /** Its record, where it was read already. */
  readonly record: HeldRecord | undefined;
}

export interface PutBackOptions {
  /** To the end that is served next, else to the one served last. */
  readonly first: boolean;
  /** Counts as a delivery that failed. */
  readonly counted: boolean;
  /** Hash of who holds it. */
  readonly owned: string;
  /** Only while this holder is dead. */
  readonly deadOwner: string | undefined;
}

/** A counter lives a week after its message was last put back. */
const RESTORES_TTL_MS = 7 * 86_400_000;

/**
 * Moves messages from `unacked` back into lists, marked as redelivered. One that somebody else holds by now stays.
 * @returns how many were put back
 *
 * Source: `QoS.restore_by_tag`. Differs: the target is where the message was taken from, so that a message that was
 * published to several queues is not multiplied.
 */
export async function putBack(
  socket: RedisSocket,
  keys: KeySpace,
  messages: readonly Held[],
  { first, counted, owned, deadOwner }: PutBackOptions,
): Promise<number> {
  const texts = await recordTexts(socket, keys, messages);
  const names = [keys.unackedIndex, keys.unacked, owned, keys.workers];
  const positions = new Map<string, number>();
  const args: Argument[] = [first ? 'RPUSH' : 'LPUSH', deadOwner ?? '', counted ? keys.restores : '', RESTORES_TTL_MS];
  messages.forEach(({ tag, score, targets }, i) => {
    const record = texts[i];
    // Gone already, or unreadable: the sweeper sets the latter aside.
    const text = record && markRedelivered(record.envelope);
    if (text === undefined) return;
    args.push(tag, score, text, targets.length);
    for (const target of targets) {
      let position = positions.get(target);
      if (position === undefined) positions.set(target, (position = names.push(target)));
      args.push(position);
    }
  });
  return args.length === 4 ? 0 : Number(await socket.run(RESTORE, names, args));
}

async function recordTexts(
  socket: RedisSocket,
  keys: KeySpace,
  messages: readonly Held[],
): Promise<(HeldRecord | undefined)[]> {
  if (messages.every(({ record }) => record)) return messages.map(({ record }) => record);
  const stored = (await socket.call('HMGET', keys.unacked, ...messages.map(({ tag }) => tag))) as (string | null)[];
  return stored.map((text) => (text === null ? undefined : readRecord(text)));
}
