import type { ResultTuple } from '../protocol/result.ts';
import type { AsyncResult } from './async-result.ts';
import { GroupTaskResult } from './group-result.ts';
import type { ResultSource } from './source.ts';
import { TaskResult } from './task-result.ts';

/** Rebuilds a handle from its serialized form, parents and members included. Inverse of `toJSON()`. */
export function resultFrom(source: ResultSource, tuple: ResultTuple): AsyncResult<unknown> {
  const [head, members] = tuple;
  const [id, parentTuple] = typeof head === 'string' ? [head, null] : head;
  const parent = parentTuple === null ? null : resultFrom(source, parentTuple);
  return members === null
    ? new TaskResult(source, id, parent)
    : new GroupTaskResult<unknown[]>(
        source,
        id,
        members.map((member) => resultFrom(source, member)),
        parent,
      );
}
