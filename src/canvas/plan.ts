import type { ResultTuple } from '../protocol/result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import {
  bodyOf,
  callDict,
  chainDict,
  chordDict,
  groupDict,
  headerOf,
  isChain,
  isChord,
  isGroup,
  listOf,
  tasksOf,
  withArgs,
  withOptions,
} from './dict.ts';
import { freeze, type FreezeOptions, type Place } from './freeze.ts';
import { chordSize, withChord } from './leaves.ts';
import { errorLinked, linked as linkedTo } from './links.ts';
import type { WireOptions } from './wire-options.ts';

/** A chord whose members are counted in the result backend. */
export interface ChordStart {
  readonly groupId: string;
  readonly size: number;
  /** Handle of the header. */
  readonly group: ResultTuple;
}

/** The messages that start a signature. */
export interface Plan {
  /** To be told to the backend before anything is published. */
  readonly chords: readonly ChordStart[];
  /** Frozen calls, in the order they are to be published. */
  readonly calls: readonly SignatureDict[];
  readonly result: ResultTuple;
}

export interface PlanOptions extends FreezeOptions {
  /** `unlock`: a task waits for the header of each chord, and its members carry no chord. @default 'native' */
  readonly chords?: 'native' | 'unlock';
  /** Errbacks of a chord's body are the header's too (setting `taskAllowErrorCbOnChordHeader`). */
  readonly headerErrbacks?: boolean;
}

/** What the signature is in, for `ctx.replace()` and the like. */
export type PlanPlace = Pick<Place, 'group' | 'chord'>;

/**
 * Decides what has to be published for a signature whose arguments are complete.
 * A chain is one message, which carries the other steps in reverse; a group is one for each member; a chord is its
 * header, whose members carry the body.
 * @param options of this call; for a chain they go to its first step, for a group to every member, for a chord to both
 */
export function plan(dict: SignatureDict, options: WireOptions, ids: PlanOptions, place: PlanPlace = {}): Plan {
  const { task_id: taskId, ...rest } = options;
  const frozen = freeze(dict, ids, {
    ...place,
    taskId: (taskId as string | null | undefined) ?? undefined,
  });
  const planner = new Planner(ids);
  planner.start(frozen.dict, rest);
  return {
    chords: planner.chords,
    calls: planner.calls,
    result: frozen.result,
  };
}

/** First run of `celery.chord_unlock`, in seconds. */
const UNLOCK_COUNTDOWN = 1;

class Planner {
  readonly chords: ChordStart[] = [];
  readonly calls: SignatureDict[] = [];
  readonly #ids: PlanOptions;

  constructor(ids: PlanOptions) {
    this.#ids = ids;
  }

  start(frozen: SignatureDict, options: WireOptions): void {
    if (isChord(frozen)) this.#chord(frozen, options);
    else if (isGroup(frozen)) this.#group(frozen, options);
    else if (isChain(frozen)) this.#chain(frozen, options);
    else this.calls.push(withOptions(frozen, options));
  }

  #group(frozen: SignatureDict, options: WireOptions): void {
    const { chain, ...rest } = options;
    const later = listOf(chain);
    if (later.length > 0) {
      // A group that more follows is the header of a chord, whoever wrote it down as something else.
      const chord = chordDict(tasksOf(frozen), chainDict([...later].reverse()));
      return this.start(freeze({ ...chord, options: frozen.options }, this.#ids).dict, rest);
    }
    const { chord: _chord, group_index: _index, ...own } = withoutIdentity(frozen.options);
    const shared = { ...own, group_id: frozen.options['task_id'] };
    for (const task of tasksOf(frozen)) {
      const member = inGroup(task, frozen.options['task_id'] as string);
      this.start(isChain(member) ? member : withOptions(member, shared), rest);
    }
  }

  #chain(frozen: SignatureDict, options: WireOptions): void {
    const [first, ...rest] = tasksOf(frozen);
    if (first === undefined) return;
    const { chain, ...called } = options;
    const { link, link_error: linkError, chain: ownChain, ...more } = withoutIdentity(frozen.options);
    // These are the last step's, which has them.
    const { chord: _chord, group_id: _group, group_index: _index, ...own } = more;
    const [begin, ...later] = linked([withOptions(first, own), ...rest], link, linkError) as [SignatureDict];
    const following = [...listOf(chain ?? ownChain), ...later.reverse()];
    this.start(begin, following.length === 0 ? called : { ...called, chain: following });
  }

  #chord(frozen: SignatureDict, options: WireOptions): void {
    const { chain, link, link_error: linkError, ...shared } = options;
    const { root_id: _root, parent_id: _parent, ...forBody } = shared;
    const {
      link: ownLink,
      link_error: ownErrback,
      interval,
      max_retries: most,
      ...own
    } = withoutIdentity(frozen.options);
    const { chain: ownChain, group_id: _group, group_index: _index, chord: _chord, ...settled } = own;
    const [linkedBody] = linked(linked([bodyOf(frozen)], ownLink, ownErrback), link, linkError) as [SignatureDict];
    const body = followed(withOptions(linkedBody, { ...settled, ...forBody }), listOf(chain ?? ownChain));
    const members = this.#ids.headerErrbacks
      ? headerOf(frozen).map((member) => listOf(body.options['link_error']).reduce(errorLinked, member))
      : headerOf(frozen);
    if (members.length === 0) return this.start(withArgs(body, [[]]), shared);
    const groupId = frozen.options['task_id'] as string;
    const group: ResultTuple = [[groupId, null], members.map(yielded)];
    const native = (this.#ids.chords ?? 'native') === 'native';
    if (native) this.chords.push({ groupId, size: chordSize(groupDict(members)), group });
    else this.calls.push(unlockCall(groupId, body, group, { interval, most, shared }));
    const header = native ? members.map((member) => withChord(member, body)) : members;
    this.#group({ ...groupDict(header), options: { ...settled, task_id: groupId } }, shared);
  }
}

/** Writes the group's id on whatever yields the member's result. */
function inGroup(member: SignatureDict, groupId: string): SignatureDict {
  if (isChain(member)) {
    const steps = tasksOf(member);
    const last = steps.at(-1);
    if (last === undefined) return member;
    return { ...member, kwargs: { ...member.kwargs, tasks: [...steps.slice(0, -1), inGroup(last, groupId)] } };
  }
  if (isChord(member)) return { ...member, kwargs: { ...member.kwargs, body: inGroup(bodyOf(member), groupId) } };
  if (isGroup(member)) {
    return { ...member, kwargs: { ...member.kwargs, tasks: tasksOf(member).map((task) => inGroup(task, groupId)) } };
  }
  return withOptions(member, { group_id: groupId });
}

/** What the chord is followed by follows its body. */
function followed(body: SignatureDict, chain: readonly SignatureDict[]): SignatureDict {
  if (chain.length === 0) return body;
  const own = listOf(body.options['chain']);
  return { ...body, options: { ...body.options, chain: [...chain, ...own] } };
}

/**
 * The unlocking task goes first: a crash in between leaves one that waits, not a header that nobody joins.
 * Spec: messages.md 6.8.
 */
function unlockCall(
  groupId: string,
  body: SignatureDict,
  group: ResultTuple,
  { interval, most, shared }: { interval: unknown; most: unknown; shared: WireOptions },
): SignatureDict {
  const { queue, priority } = body.options;
  const { root_id, parent_id } = shared;
  return callDict('celery.chord_unlock', [groupId, body], {
    kwargs: {
      interval: interval ?? null,
      max_retries: most ?? null,
      result: group[1],
    },
    options: {
      root_id,
      parent_id,
      countdown: UNLOCK_COUNTDOWN,
      ignore_result: true,
      queue,
      priority,
    },
  });
}

/** The handle of what a frozen signature yields, without its parents. */
function yielded(dict: SignatureDict): ResultTuple {
  if (isChord(dict)) return yielded(bodyOf(dict));
  const last = isChain(dict) ? tasksOf(dict).at(-1) : undefined;
  if (last !== undefined) return yielded(last);
  const id = dict.options['task_id'] as string;
  return [[id, null], isGroup(dict) ? tasksOf(dict).map(yielded) : null];
}

/** A chain's `link` belongs to its last step, its `link_error` to every step. */
function linked(steps: readonly SignatureDict[], link: unknown, linkError: unknown): SignatureDict[] {
  const last = steps.length - 1;
  return steps.map((step, at) => {
    const onError = listOf(linkError).reduce(errorLinked, step);
    return at === last ? listOf(link).reduce(linkedTo, onError) : onError;
  });
}

function withoutIdentity(options: WireOptions): WireOptions {
  const { task_id: _taskId, root_id: _rootId, parent_id: _parentId, ...rest } = options;
  return rest;
}
