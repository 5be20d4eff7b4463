import type { ResultTuple } from '../protocol/result.ts';
import type { AsyncResult, GetOptions } from './async-result.ts';
import { graphOf, type ResultGraph } from './graph.ts';
import { collect, leafOf, walk, type WalkOptions, type WalkStep } from './walk.ts';

/** What every kind of handle does alike. */
export abstract class ResultBase<out T> {
  abstract readonly id: string;
  abstract readonly parent: AsyncResult<unknown> | null;
  abstract toJSON(): ResultTuple;

  parents(): AsyncResult<unknown>[] {
    const all: AsyncResult<unknown>[] = [];
    for (let node = this.parent; node !== null; node = node.parent) all.push(node);
    return all;
  }

  asList(): string[] {
    return [this.id, ...this.parents().map(({ id }) => id)];
  }

  iterdeps(options: WalkOptions = {}): AsyncGenerator<WalkStep, void, undefined> {
    return walk(this.#self(), options);
  }

  collect(
    options: WalkOptions & GetOptions = {},
  ): AsyncGenerator<readonly [result: AsyncResult<unknown>, value: unknown], void, undefined> {
    return collect(this.#self(), options);
  }

  getLeaf(options: GetOptions = {}): Promise<unknown> {
    return leafOf(this.#self(), options);
  }

  graph(options: WalkOptions = {}): Promise<ResultGraph> {
    return graphOf(this.#self(), options);
  }

  #self(): AsyncResult<T> {
    return this as unknown as AsyncResult<T>;
  }
}
