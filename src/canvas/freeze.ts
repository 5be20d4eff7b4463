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
interface Place {
  readonly taskId?: string | undefined;
  readonly parent?: ResultTuple | null | undefined;
  readonly rootId?: string | undefined;
  /** `named`: the group's id is written too. Celery writes it on the last step of a chain only, and again when sending. */
  readonly group?: { readonly id: string; readonly index: number; readonly named: boolean } | undefined;
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
    frozen['group_index'] = place.group.index;
  }
  if (place.chord !== undefined) frozen['chord'] ??= place.chord;
  return { dict: { ...dict, options: frozen }, result: [[id, place.parent ?? null], null] };
}

/** The last step carries the chain's own id, group and chord. Ids are drawn from the last step to the first. */
function freezeChain(dict: SignatureDict, options: FreezeOptions, place: Place): Frozen {
  const steps = tasksOf(dict);
  if (steps.length === 0) throw new ImproperlyConfigured('a chain needs at least one step');
  const last = steps.length - 1;
  const inherited = (dict.options['task_id'] as string | null | undefined) ?? undefined;
  const ids = steps.map(() => '');
  for (let at = last; at >= 0; at--) {
    const wanted = at === last ? (place.taskId ?? inherited) : undefined;
    ids[at] = wanted ?? presetId(steps[at] as SignatureDict) ?? options.uuid();
  }
  let parent = place.parent ?? null;
  let result: ResultTuple | undefined;
  const tasks = steps.map((step, at) => {
    const group = place.group && { ...place.group, named: true };
    const own = at === last ? { group, chord: place.chord } : {};
    const frozen = freeze(step, options, { ...own, taskId: ids[at], rootId: place.rootId, parent });
    result = frozen.result;
    parent = frozen.result;
    return frozen.dict;
  });
  return { dict: { ...dict, kwargs: { ...dict.kwargs, tasks } }, result: result as ResultTuple };
}

function presetId(dict: SignatureDict): string | undefined {
  return (dict.options['task_id'] as string | null | undefined) ?? undefined;
}

function freezeGroup(dict: SignatureDict, options: FreezeOptions, place: Place): Frozen {
  const id = place.taskId ?? presetId(dict) ?? options.uuid();
  const results: ResultTuple[] = [];
  const tasks = flattened(tasksOf(dict)).map((task, index) => {
    const frozen = freeze(task, options, {
      group: { id, index, named: false },
      chord: place.chord,
      rootId: place.rootId,
      parent: place.parent,
    });
    results.push(frozen.result);
    return frozen.dict;
  });
  return {
    dict: { ...dict, options: { ...dict.options, task_id: id }, kwargs: { ...dict.kwargs, tasks } },
    result: [[id, place.parent ?? null], results],
  };
}

/** Groups within a group give their members to it. */
function flattened(tasks: readonly SignatureDict[]): SignatureDict[] {
  return tasks.flatMap((task) => (isGroup(task) ? flattened(tasksOf(task)) : [task]));
}

/** The header's members carry the frozen body; the chord's result is the body's, with the header as its parent. */
function freezeChord(dict: SignatureDict, options: FreezeOptions, place: Place): Frozen {
  const headerId = presetId(dict) ?? options.uuid();
  const bodyId = place.taskId ?? options.uuid();
  const withoutParent = freeze(bodyOf(dict), options, {
    taskId: presetId(bodyOf(dict)) ?? bodyId,
    rootId: place.rootId,
    group: place.group,
    chord: place.chord,
  });
  const header = freezeGroup(groupDict(headerOf(dict)), options, {
    taskId: headerId,
    chord: withoutParent.dict,
    rootId: place.rootId,
    parent: place.parent,
  });
  return {
    dict: {
      ...dict,
      options: { ...dict.options, task_id: headerId },
      kwargs: { ...dict.kwargs, header: header.dict, body: withoutParent.dict },
    },
    result: reparent(withoutParent.result, header.result),
  };
}

/** Puts `parent` at the far end of a result's line of parents. */
function reparent(result: ResultTuple, parent: ResultTuple): ResultTuple {
  const [head, members] = result;
  const [id, above] = typeof head === 'string' ? [head, null] : head;
  return [[id, above === null ? parent : reparent(above, parent)], members];
}
