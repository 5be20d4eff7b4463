import type { SignatureDict } from '../protocol/task-message.ts';
import { callDict, groupDict } from './dict.ts';

/** `[task(x) for x in it]` in one message. Source: `celery.canvas.xmap`. */
export function mapDict(task: SignatureDict, it: readonly unknown[]): SignatureDict {
  return callDict('celery.map', [], { kwargs: { task, it }, immutable: true });
}

/** `[task(*args) for args in it]` in one message. */
export function starmapDict(task: SignatureDict, it: readonly (readonly unknown[])[]): SignatureDict {
  return callDict('celery.starmap', [], { kwargs: { task, it }, immutable: true });
}

/** Chunks are never sent as such: they are a group of starmaps. */
export function chunksDict(task: SignatureDict, it: readonly (readonly unknown[])[], size: number): SignatureDict {
  const parts: SignatureDict[] = [];
  for (let at = 0; at < it.length; at += size) parts.push(starmapDict(task, it.slice(at, at + size)));
  return groupDict(parts);
}
