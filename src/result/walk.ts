import { IncompleteStream } from '../errors.ts';
import type { AsyncResult, GetOptions } from './async-result.ts';

/*
 * Trees of results: a task's children are what it sent and what followed it, in either language. A group's are its
 * members.
 */

export interface WalkOptions {
  /** Go on past tasks that are not ready, whose children nobody knows yet. @default false */
  readonly intermediate?: boolean;
}

/** One step of a walk: a result, and the one that has it among its children. */
export type WalkStep = readonly [parent: AsyncResult<unknown> | null, result: AsyncResult<unknown>];

/**
 * The tree under a result, the nearest first. The next result is looked at only when the reader asks for it, so a reader
 * that awaits each one walks a tree that is still growing. Source: `AsyncResult.iterdeps`.
 * @throws {IncompleteStream} where a result is not ready, unless `intermediate`
 */
export async function* walk(
  root: AsyncResult<unknown>,
  { intermediate = false }: WalkOptions = {},
): AsyncGenerator<WalkStep, void, undefined> {
  const queue: WalkStep[] = [[null, root]];
  const followed = new Set<string>();
  for (let at = 0; at < queue.length; at++) {
    const step = queue[at] as WalkStep;
    yield step;
    const [, result] = step;
    if (followed.has(result.id)) continue;
    if (await result.ready()) {
      followed.add(result.id);
      for (const child of await result.children()) queue.push([result, child]);
    } else if (!intermediate) {
      throw new IncompleteStream(result.id);
    }
  }
}

/**
 * Every result of the tree with its value, awaited one after the other. A value that is itself a handle (a task returned
 * it) comes as it is stored. Source: `AsyncResult.collect`.
 */
export async function* collect(
  root: AsyncResult<unknown>,
  { intermediate, ...get }: WalkOptions & GetOptions = {},
): AsyncGenerator<readonly [result: AsyncResult<unknown>, value: unknown], void, undefined> {
  const options = intermediate === undefined ? {} : { intermediate };
  for await (const [, result] of walk(root, options)) yield [result, await result.get(get)];
}

/** The value of the last result of the tree. Source: `AsyncResult.get_leaf`. */
export async function leafOf(root: AsyncResult<unknown>, options: GetOptions = {}): Promise<unknown> {
  let last: unknown;
  for await (const [, value] of collect(root, options)) last = value;
  return last;
}
