import type { ResultCodec, ResultTuple, Stored } from '../protocol/result.ts';
import { CHORD_CLAIM_MS, type ChordPart, type ChordStore } from './backend.ts';
import { decodePart, encodePart } from './chord-part.ts';

interface Chord {
  size: number | undefined;
  /** Members that joined later, and how many each counts for. */
  readonly added: Map<string, number>;
  readonly parts: Map<string, { readonly text: Stored; readonly index: number | null; readonly success: boolean }>;
  owner: string | undefined;
  claim: { readonly by: string; readonly untilMs: number } | undefined;
  ended: boolean;
  expiresAtMs: number;
}

/** Chords of this process. */
export class MemoryChords implements ChordStore {
  readonly #codec: ResultCodec;
  readonly #now: () => number;
  readonly #lifetimeMs: number;
  readonly #saveGroup: (groupId: string, group: ResultTuple) => Promise<void>;
  readonly #chords = new Map<string, Chord>();

  constructor(
    codec: ResultCodec,
    now: () => number,
    lifetimeMs: number,
    saveGroup: (groupId: string, group: ResultTuple) => Promise<void>,
  ) {
    this.#saveGroup = saveGroup;
    this.#codec = codec;
    this.#now = now;
    this.#lifetimeMs = lifetimeMs;
  }

  #chord(groupId: string): Chord {
    let chord = this.#chords.get(groupId);
    if (chord === undefined) {
      chord = {
        size: undefined,
        added: new Map(),
        parts: new Map(),
        owner: undefined,
        claim: undefined,
        ended: false,
        expiresAtMs: 0,
      };
      this.#chords.set(groupId, chord);
    }
    chord.expiresAtMs = this.#now() + this.#lifetimeMs;
    return chord;
  }

  async begin(groupId: string, size: number, group: ResultTuple): Promise<void> {
    if (group[1]?.some(([, members]) => members !== null)) await this.#saveGroup(groupId, group);
    const chord = this.#chord(groupId);
    chord.size = size;
    if (chord.ended) Object.assign(chord, { ended: false, owner: undefined, claim: undefined });
  }

  async add(groupId: string, part: ChordPart, claim: string): Promise<readonly ChordPart[] | 'claimed' | undefined> {
    const chord = this.#chord(groupId);
    if (chord.ended) return undefined;
    if (!chord.parts.get(part.taskId)?.success) {
      const text = encodePart(this.#codec, part);
      chord.parts.set(part.taskId, { text, index: part.index, success: part.state === 'SUCCESS' });
    }
    if (chord.size === undefined) return undefined;
    let wanted = chord.size;
    for (const size of chord.added.values()) wanted += size;
    if (chord.parts.size < wanted) return undefined;
    chord.owner ??= part.taskId;
    if (chord.owner !== part.taskId) return undefined;
    const now = this.#now();
    if (chord.claim !== undefined && chord.claim.by !== claim && now < chord.claim.untilMs) return 'claimed';
    chord.claim = { by: claim, untilMs: now + CHORD_CLAIM_MS };
    return [...chord.parts.values()]
      .sort((a, b) => place(a.index) - place(b.index))
      .map(({ text, index }) => decodePart(this.#codec, text, index));
  }

  async grow(groupId: string, memberId: string, size: number): Promise<void> {
    this.#chord(groupId).added.set(memberId, size);
  }

  async end(groupId: string): Promise<void> {
    const chord = this.#chord(groupId);
    chord.ended = true;
    chord.size = undefined;
    chord.parts.clear();
    chord.added.clear();
  }

  /** Forgets what nobody touched for as long as results live. */
  sweep(): void {
    const now = this.#now();
    for (const [groupId, { expiresAtMs }] of this.#chords) if (expiresAtMs <= now) this.#chords.delete(groupId);
  }
}

/** Numbers that can be subtracted: those without a place come last. */
function place(index: number | null): number {
  return index ?? Number.MAX_SAFE_INTEGER;
}
