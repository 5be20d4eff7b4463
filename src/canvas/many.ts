import type { SignatureDict } from '../protocol/task-message.ts';
import { callDict, groupDict } from './dict.ts';
import type { WireOptions } from './wire-options.ts';

/** Where the task would go, and how soon: what runs it for a list goes the same way. */
const SHARED = ['queue', 'exchange', 'routing_key', 'priority'] as const;

function shared(task: SignatureDict, defaults: WireOptions | undefined): { readonly options: WireOptions } | undefined {
  const own: Record<string, unknown> = {};
  for (const name of SHARED) {
    const value = task.options[name] ?? defaults?.[name];
    if (value != null) own[name] = value;
  }
  return Object.keys(own).length === 0 ? undefined : { options: own };
}

/** `[task(x) for x in it]` in one message. Source: `celery.canvas.xmap`. @param defaults the task's own options */
export function mapDict(task: SignatureDict, it: readonly unknown[], defaults?: WireOptions): SignatureDict {
  return callDict('celery.map', [], { kwargs: { task, it }, immutable: true, ...shared(task, defaults) });
}

/** `[task(*args) for args in it]` in one message. */
export function starmapDict(
  task: SignatureDict,
  it: readonly (readonly unknown[])[],
  defaults?: WireOptions,
): SignatureDict {
  return callDict('celery.starmap', [], { kwargs: { task, it }, immutable: true, ...shared(task, defaults) });
}

/** Chunks are never sent as such: they are a group of starmaps. */
export function chunksDict(
  task: SignatureDict,
  it: readonly (readonly unknown[])[],
  size: number,
  defaults?: WireOptions,
): SignatureDict {
  const parts: SignatureDict[] = [];
  for (let at = 0; at < it.length; at += size) parts.push(starmapDict(task, it.slice(at, at + size), defaults));
  return groupDict(parts);
}
