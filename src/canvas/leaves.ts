import type { SignatureDict } from '../protocol/task-message.ts';
import { bodyOf, groupDict, headerOf, isChain, isChord, isGroup, tasksOf, withOptions } from './dict.ts';

/*
 * Which of a signature's tasks count as members of the chord it is in: of a chain its end, of a chord its body, of a
 * group all. Source: `_chord._descend`.
 */

/** How many members a signature counts for in the chord around it. */
export function chordSize(dict: SignatureDict): number {
  if (isGroup(dict)) return tasksOf(dict).reduce((sum, task) => sum + chordSize(task), 0);
  if (isChord(dict)) return chordSize(bodyOf(dict));
  if (!isChain(dict)) return 1;
  const steps = tasksOf(dict);
  for (let at = steps.length - 1; at >= 0; at--) {
    const size = chordSize(steps[at] as SignatureDict);
    if (size > 0) return size;
  }
  return 0;
}

/** Has every task that counts tell the chord of `body` about its end. */
export function withChord(dict: SignatureDict, body: SignatureDict): SignatureDict {
  if (isGroup(dict))
    return withTasks(
      withOptions(dict, { chord: body }),
      tasksOf(dict).map((task) => withChord(task, body)),
    );
  if (isChord(dict)) return { ...dict, kwargs: { ...dict.kwargs, body: withChord(bodyOf(dict), body) } };
  if (!isChain(dict)) return withOptions(dict, { chord: body });
  const steps = tasksOf(dict);
  return withTasks(dict, [...steps.slice(0, -1), withChord(steps.at(-1) as SignatureDict, body)]);
}

function withTasks(dict: SignatureDict, tasks: readonly SignatureDict[]): SignatureDict {
  return { ...dict, kwargs: { ...dict.kwargs, tasks } };
}

/** A task that will not run any more because one before it failed. */
export interface Unreached {
  readonly call: SignatureDict;
  /** A chord waits for it. */
  readonly counts: boolean;
}

/** Every task of steps that are not reached. The header of a chord among them counts for nobody: its body does. */
export function unreached(dict: SignatureDict, counts = true): Unreached[] {
  if (isChain(dict) || isGroup(dict)) return tasksOf(dict).flatMap((task) => unreached(task, counts));
  if (isChord(dict)) {
    return [...unreached(groupDict(headerOf(dict)), false), ...unreached(bodyOf(dict), counts)];
  }
  return [{ call: dict, counts: counts && dict.options['chord'] != null }];
}

/** Whether a chord is anywhere in it, or would become one: a group that something follows. */
export function containsChord(dict: SignatureDict): boolean {
  return isChord(dict) || ((isChain(dict) || isGroup(dict)) && tasksOf(dict).some(containsChord));
}
