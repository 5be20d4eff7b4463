import { ImproperlyConfigured } from '../errors.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { bodyOf, groupDict, headerOf, isChain, isChord, isGroup, tasksOf } from './dict.ts';

/** What freezing draws ids from. */
export interface FreezeOptions {
  readonly uuid: () => string;
  /** Written as `reply_to`. */
  readonly oid: string;
}

/** A signature with all its ids, and the handle of what it will yield. */
export interface Frozen {
  readonly dict: SignatureDict;
  readonly result: ResultTuple;
}

/** What a member inherits from what it is in. */
export interface Place {
  readonly taskId?: string | undefined;
  readonly parent?: ResultTuple | null | undefined;
  readonly rootId?: string | undefined;
  /**
   * `named`: the group's id is written too. Members get it when they are sent: Celery 5.2 sends a header that stands in a
   * message with another id.
   */
  readonly group?:
    | {
        readonly id: string;
        readonly index: number | undefined;
        readonly named: boolean;
      }
    | undefined;
  readonly chord?: SignatureDict | undefined;
}

export function idOf(result: ResultTuple): string {
  return typeof result[0] === 'string' ? result[0] : result[0][0];
}

/** Gives every task of a signature its id, without changing ids that are there. Source: `Signature.freeze`. */
export function freeze(dict: SignatureDict, options: FreezeOptions, place: Place = {}): Frozen {
  if (isChain(dict)) return freezeChain(dict, options, place);
  if (isGroup(dict)) return freezeGroup(dict, options, place);
  if (isChord(dict)) return freezeChord(dict, options, place);
  return freezeCall(dict, options, place);
}

function freezeCall(dict: SignatureDict, { uuid, oid }: FreezeOptions, place: Place): Frozen {
  const own = dict.options;
  const id = place.taskId ?? (own['task_id'] as string | null | undefined) ?? uuid();
  const frozen: Record<string, unknown> = { ...own, task_id: id };
  if (place.rootId !== undefined) frozen['root_id'] = place.rootId;
  frozen['reply_to'] = oid;
  if (place.group !== undefined) {
    if (place.group.named) frozen['group_id'] ??= place.group.id;
    if (place.group.index !== undefined) frozen['group_index'] = place.group.index;
  }
  if (place.chord !== undefined) frozen['chord'] ??= place.chord;
  return {
    dict: { ...dict, options: frozen },
    result: [[id, place.parent ?? null], null],
  };
}

/** The last step carries the chain's own id, group and chord. Ids are drawn from the last step to the first. */
function freezeChain(dict: SignatureDict, options: FreezeOptions, place: Place): Frozen {
  const steps = tasksOf(dict);
  if (steps.length === 0) throw new ImproperlyConfigured('a chain needs at least one step');
  const last = steps.length - 1;
  const inherited = (dict.options['task_id'] as string | null | undefined) ?? undefined;
  const ids = steps.map(() => '');
  for (let at = last; at >= 0; at--) {
    // Its own id goes before the one that Python writes on the chain, which may be the id of a group.
    const [wanted, otherwise] = at === last ? [place.taskId, inherited] : [];
    ids[at] = wanted ?? endId(steps[at] as SignatureDict) ?? otherwise ?? options.uuid();
  }
  const within = place.group ?? groupOf(dict.options);
  const chord = place.chord ?? (dict.options['chord'] as SignatureDict | null | undefined) ?? undefined;
  let parent = place.parent ?? null;
  let result: ResultTuple | undefined;
  const tasks = steps.map((step, at) => {
    const own = at === last ? { group: within, chord } : {};
    const frozen = freeze(step, options, {
      ...own,
      taskId: ids[at],
      rootId: place.rootId,
      parent,
    });
    result = frozen.result;
    parent = frozen.result;
    return frozen.dict;
  });
  return {
    dict: { ...dict, kwargs: { ...dict.kwargs, tasks } },
    result: result as ResultTuple,
  };
}

/** Python writes a chain's group and chord on the chain where it is the body of a chord within a chord. */
function groupOf({ group_id: id, group_index: index }: SignatureDict['options']): Place['group'] {
  return typeof id === 'string' && typeof index === 'number' ? { id, index, named: true } : undefined;
}

function presetId(dict: SignatureDict): string | undefined {
  return (dict.options['task_id'] as string | null | undefined) ?? undefined;
}

/** The id under which a frozen signature yields its result. */
function endId(dict: SignatureDict): string | undefined {
  if (isChord(dict)) return endId(bodyOf(dict));
  const last = isChain(dict) ? tasksOf(dict).at(-1) : undefined;
  return last === undefined ? presetId(dict) : endId(last);
}

function freezeGroup(dict: SignatureDict, options: FreezeOptions, place: Place): Frozen {
  const id = place.taskId ?? presetId(dict) ?? options.uuid();
  const results: ResultTuple[] = [];
  // Within another group's member, as the end of a chain, it is the outer group that its members belong to.
  const outer = place.group !== undefined && place.group.index !== undefined ? place.group.id : undefined;
  const tasks = flattened(tasksOf(dict)).map((task, index) => {
    const frozen = freeze(task, options, {
      group: { id: outer ?? id, index, named: false },
      chord: place.chord,
      rootId: place.rootId,
      parent: place.parent,
    });
    results.push(frozen.result);
    return frozen.dict;
  });
  return {
    dict: {
      ...dict,
      options: { ...dict.options, task_id: id },
      kwargs: { ...dict.kwargs, tasks },
    },
    result: [[id, place.parent ?? null], results],
  };
}

/** Groups within a group give their members to it. */
function flattened(tasks: readonly SignatureDict[]): SignatureDict[] {
  return tasks.flatMap((task) => (isGroup(task) ? flattened(tasksOf(task)) : [task]));
}

/**
 * The chord's result is the body's, with the header as its parent. The members get the body when they are sent: a body
 * that is a chord itself would otherwise hold copies of its own body, and they of theirs.
 */
function freezeChord(dict: SignatureDict, options: FreezeOptions, place: Place): Frozen {
  const headerId = presetId(dict) ?? options.uuid();
  const bodyId = place.taskId ?? endId(bodyOf(dict)) ?? options.uuid();
  const withoutParent = freeze(bodyOf(dict), options, {
    taskId: bodyId,
    rootId: place.rootId,
    group: place.group ?? { id: headerId, index: undefined, named: true },
    chord: place.chord,
  });
  const header = freezeGroup(groupDict(headerOf(dict)), options, {
    taskId: headerId,
    rootId: place.rootId,
    parent: place.parent,
  });
  return {
    dict: {
      ...dict,
      options: { ...dict.options, task_id: headerId },
      kwargs: {
        ...dict.kwargs,
        header: header.dict,
        body: identified(withoutParent.dict),
      },
    },
    result: reparent(withoutParent.result, header.result),
  };
}

/** Python looks for a body's id in its options to tell who waits for it, also where the body is a chain. */
function identified(body: SignatureDict): SignatureDict {
  return isChain(body) ? { ...body, options: { ...body.options, task_id: endId(body) } } : body;
}

/** Puts `parent` at the far end of a result's line of parents. */
function reparent(result: ResultTuple, parent: ResultTuple): ResultTuple {
  const [head, members] = result;
  const [id, above] = typeof head === 'string' ? [head, null] : head;
  return [[id, above === null ? parent : reparent(above, parent)], members];
}
