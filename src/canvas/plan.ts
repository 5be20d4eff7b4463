import { NotSupported } from '../errors.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { isChain, isChord, isGroup, listOf, tasksOf, withLink, withOptions } from './dict.ts';
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
 * @throws {NotSupported} for chords
 */
export function plan(dict: SignatureDict, options: WireOptions, ids: FreezeOptions): Plan {
  const { task_id: taskId, ...rest } = options;
  const { dict: frozen, result } = freeze(dict, ids, { taskId: (taskId as string | null | undefined) ?? undefined });
  return { calls: starts(frozen, rest), result };
}

function starts(frozen: SignatureDict, options: WireOptions): SignatureDict[] {
  if (isChord(frozen))
    throw new NotSupported('chords cannot be sent yet: send the group and its body one after the other');
  if (isGroup(frozen)) {
    const shared = { ...withoutIdentity(frozen.options), group_id: frozen.options['task_id'] };
    return tasksOf(frozen).flatMap((task) => starts(isChain(task) ? task : withOptions(task, shared), options));
  }
  if (!isChain(frozen)) return [withOptions(frozen, options)];
  const [first, ...rest] = tasksOf(frozen);
  if (first === undefined) return [];
  if (rest.some(isChord)) throw new NotSupported('chains with a chord in them cannot be sent yet');
  const { link, link_error: linkError, ...own } = withoutIdentity(frozen.options);
  const [called, ...later] = linked([withOptions(first, own), ...rest], link, linkError) as [SignatureDict];
  return starts(later.length === 0 ? called : withOptions(called, { chain: later.reverse() }), options);
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
