import type { ResultCodec, ResultTuple, Stored } from '../../protocol/result.ts';
import { CHORD_CLAIM_MS, type ChordPart, type ChordStore } from '../backend.ts';
import { decodePart, encodePart, partPrefix } from '../chord-part.ts';
import type { Link } from './link.ts';
import { ADD_TO_CHORD, BEGIN_CHORD, END_CHORD, GROW_CHORD } from './scripts.ts';

/** What the store of chords needs of its backend. */
export interface RedisChordsOptions {
  readonly link: Link;
  readonly codec: ResultCodec;
  /** Prefix of all keys. */
  readonly prefix: string;
  /** 0: for ever */
  readonly expiresSeconds: number;
  /** Transport option `result_chord_ordered`. */
  readonly ordered: boolean;
  saveGroup(groupId: string, group: ResultTuple): Promise<void>;
}

/**
 * Chords on Celery's own keys, so that members may run in either language (spec: results.md 3.1):
 * `celery-taskset-meta-<group>` with `.j` members, `.s` size, `.t` members that joined later.
 * Who owns the body, and who joined, is ours: `celeriac:chord:<group>`. Python neither reads nor needs it.
 */
export class RedisChords implements ChordStore {
  readonly #options: RedisChordsOptions;

  constructor(options: RedisChordsOptions) {
    this.#options = options;
  }

  #keys(groupId: string): string[] {
    const { prefix } = this.#options;
    const base = `${prefix}celery-taskset-meta-${groupId}`;
    return [`${base}.j`, `${base}.t`, `${base}.s`, `${prefix}celeriac:chord:${groupId}`];
  }

  async begin(groupId: string, size: number, group: ResultTuple): Promise<void> {
    const { link, expiresSeconds, saveGroup } = this.#options;
    // Celery joins through the saved group where a member is a group itself, else through the members' list.
    if (group[1]?.some(([, members]) => members !== null)) await saveGroup(groupId, group);
    await link.retry((socket) => socket.run(BEGIN_CHORD, this.#keys(groupId), [expiresSeconds, size]));
  }

  async add(groupId: string, part: ChordPart, claim: string): Promise<readonly ChordPart[] | 'claimed' | undefined> {
    const { link, codec, expiresSeconds, ordered } = this.#options;
    const text = encodePart(codec, part);
    const args = [
      expiresSeconds,
      part.taskId,
      part.index ?? '+inf',
      text,
      partPrefix(codec, part.taskId),
      part.state === 'SUCCESS' ? 1 : 0,
      ordered ? 1 : 0,
      claim,
      CHORD_CLAIM_MS,
      partPrefix(codec, part.taskId, 'SUCCESS'),
    ];
    const members = (await link.retry((socket) => {
      const keys = this.#keys(groupId);
      return codec.binary ? socket.runBuffer(ADD_TO_CHORD, keys, args) : socket.run(ADD_TO_CHORD, keys, args);
    })) as Stored[] | number | null;
    if (typeof members === 'number') return 'claimed';
    return members?.map((member) => decodePart(codec, member));
  }

  async grow(groupId: string, memberId: string, size: number): Promise<void> {
    const { link, expiresSeconds } = this.#options;
    await link.retry((socket) => socket.run(GROW_CHORD, this.#keys(groupId), [expiresSeconds, memberId, size]));
  }

  async end(groupId: string): Promise<void> {
    const { link, expiresSeconds } = this.#options;
    await link.retry((socket) => socket.run(END_CHORD, this.#keys(groupId), [expiresSeconds]));
  }
}
