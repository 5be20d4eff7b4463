import { DecodeError } from '../errors.ts';
import type { ResultCodec } from '../protocol/result.ts';
import type { ChordPart } from './backend.ts';

/** A member as Celery stores it: `[1, "id", "SUCCESS", 3]` (spec: results.md 3.1). */
export function encodePart(codec: ResultCodec, { taskId, state, result }: ChordPart): string {
  return codec.write([1, taskId, state, result === undefined ? null : result]);
}

/** What every text of this member begins with, whatever came of it. */
export function partPrefix(codec: ResultCodec, taskId: string): string {
  const text = codec.write([1, taskId]);
  return text.endsWith(']') ? `${text.slice(0, -1)},` : text;
}

/** @throws {DecodeError} when it is no member */
export function decodePart(codec: ResultCodec, stored: string, index: number | null = null): ChordPart {
  const part = codec.read(stored);
  if (!Array.isArray(part) || typeof part[1] !== 'string' || typeof part[2] !== 'string') {
    throw new DecodeError(`member of a chord: expected [1, id, state, result], got ${stored.slice(0, 80)}`);
  }
  return { taskId: part[1], state: part[2], result: part[3] as unknown, index };
}
