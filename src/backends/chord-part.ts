import { DecodeError } from '../errors.ts';
import type { ResultCodec, Stored } from '../protocol/result.ts';
import type { ChordPart } from './backend.ts';

/** The first byte of a MessagePack list with four elements. */
const LIST_OF_FOUR = 0x94;

/** A member as Celery stores it: `[1, "id", "SUCCESS", 3]` (spec: results.md 3.1). */
export function encodePart(codec: ResultCodec, { taskId, state, result }: ChordPart): Stored {
  return codec.write([1, taskId, state, result === undefined ? null : result]);
}

/** What every stored form of this member begins with, whatever came of it; with a state, when that came of it. */
export function partPrefix(codec: ResultCodec, taskId: string, ...state: string[]): Stored {
  const stored = codec.write([1, taskId, ...state]);
  if (typeof stored === 'string') return stored.endsWith(']') ? `${stored.slice(0, -1)},` : stored;
  stored[0] = LIST_OF_FOUR;
  return stored;
}

/** @throws {DecodeError} when it is no member */
export function decodePart(codec: ResultCodec, stored: Stored, index: number | null = null): ChordPart {
  const part = codec.read(stored);
  if (!Array.isArray(part) || typeof part[1] !== 'string' || typeof part[2] !== 'string') {
    throw new DecodeError(`member of a chord: expected [1, id, state, result], got ${stored.toString().slice(0, 80)}`);
  }
  return { taskId: part[1], state: part[2], result: part[3] as unknown, index };
}
