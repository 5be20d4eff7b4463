import type { ResultTuple } from '../protocol/result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import {
  bodyOf,
  callDict,
  groupDict,
  headerOf,
  isChain,
  isChord,
  isGroup,
  listOf,
  tasksOf,
  withArgs,
  withLink,
  withOptions,
} from './dict.ts';
import { freeze, type FreezeOptions } from './freeze.ts';
import type { WireOptions } from './wire-options.ts';

/** The messages that start a signature. */
export interface Plan {
  /** Frozen calls, in the order they are to be published. */
  readonly calls: readonly SignatureDict[];
  readonly result: ResultTuple;
}

/**
 * Decides what has to be published for a signature whose arguments are complete.
 * A chain is one message, which carries the other steps in reverse; a group is one for each member.
 * @param options of this call; for a chain they go to its first step, for a group to every member
 * A chord is its header, and a `celery.chord_unlock` that sends the body once the header is ready.
 */
export function plan(dict: SignatureDict, options: WireOptions, ids: FreezeOptions): Plan {
  const { task_id: taskId, ...rest } = options;
  const { dict: frozen, result } = freeze(dict, ids, { taskId: (taskId as string | null | undefined) ?? undefined });
  return { calls: starts(frozen, rest), result };
}

function starts(frozen: SignatureDict, options: WireOptions): SignatureDict[] {
  if (isChord(frozen)) return chordStarts(frozen, options);
  if (isGroup(frozen)) {
    const shared = { ...withoutIdentity(frozen.options), group_id: frozen.options['task_id'] };
    return tasksOf(frozen).flatMap((task) => starts(isChain(task) ? task : withOptions(task, shared), options));
  }
  if (!isChain(frozen)) return [withOptions(frozen, options)];
  const [first, ...rest] = tasksOf(frozen);
  if (first === undefined) return [];
  const { link, link_error: linkError, ...own } = withoutIdentity(frozen.options);
  const [called, ...later] = linked([withOptions(first, own), ...rest], link, linkError) as [SignatureDict];
  return starts(later.length === 0 ? called : withOptions(called, { chain: later.reverse() }), options);
}

/** First run of `celery.chord_unlock`, in seconds. */
const UNLOCK_COUNTDOWN = 1;

/**
 * The unlocking task goes first: a crash in between leaves one that waits, not a header that nobody joins.
 * It works on every backend; members therefore do not count themselves, and carry no chord.
 */
function chordStarts(frozen: SignatureDict, options: WireOptions): SignatureDict[] {
  const { chain, ...shared } = options;
  const rest = listOf(chain);
  const body = rest.length === 0 ? bodyOf(frozen) : withOptions(bodyOf(frozen), { chain: rest });
  const header = groupDict(headerOf(frozen).map(withoutChord));
  if (tasksOf(header).length === 0) return starts(withArgs(body, [[]]), shared);
  const group = { ...header, options: { task_id: frozen.options['task_id'] } };
  const { queue, priority } = body.options;
  const { root_id, parent_id } = shared;
  const unlock = callDict('celery.chord_unlock', [frozen.options['task_id'], body], {
    kwargs: {
      interval: frozen.options['interval'] ?? null,
      max_retries: frozen.options['max_retries'] ?? null,
      result: tasksOf(header).map(yielded),
    },
    options: { root_id, parent_id, countdown: UNLOCK_COUNTDOWN, ignore_result: true, queue, priority },
  });
  return [unlock, ...starts(group, shared)];
}

/** A member's `chord` is where its worker would count it; the last step carries a chain's. */
function withoutChord(dict: SignatureDict): SignatureDict {
  if (isChain(dict)) return { ...dict, kwargs: { ...dict.kwargs, tasks: tasksOf(dict).map(withoutChord) } };
  if (isChord(dict)) return { ...dict, kwargs: { ...dict.kwargs, body: withoutChord(bodyOf(dict)) } };
  const { chord: _chord, ...options } = dict.options;
  return { ...dict, options };
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
    const onError = addLinks(step, 'link_error', linkError);
    return at === last ? addLinks(onError, 'link', link) : onError;
  });
}

function addLinks(dict: SignatureDict, option: 'link' | 'link_error', links: unknown): SignatureDict {
  return listOf(links).reduce((changed, link) => withLink(changed, option, link), dict);
}

function withoutIdentity(options: WireOptions): WireOptions {
  const { task_id: _taskId, root_id: _rootId, parent_id: _parentId, ...rest } = options;
  return rest;
}
