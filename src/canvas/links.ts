import type { SignatureDict } from '../protocol/task-message.ts';
import { bodyOf, isChord, isGroup, tasksOf, withLink } from './dict.ts';

/** A chord's link belongs to its body, a group's to its first member (which is Celery's rule), all others' to themselves. */
export function linked(dict: SignatureDict, callback: SignatureDict): SignatureDict {
  if (isChord(dict)) return withKwargs(dict, { body: linked(bodyOf(dict), callback) });
  if (!isGroup(dict)) return withLink(dict, 'link', callback);
  const [first, ...rest] = tasksOf(dict);
  if (first === undefined) return dict;
  return withKwargs(dict, { tasks: [linked(first, { ...callback, immutable: true }), ...rest] });
}

/** A group's errback belongs to every member, a chord's to its body. */
export function errorLinked(dict: SignatureDict, errback: SignatureDict): SignatureDict {
  if (isChord(dict)) return withKwargs(dict, { body: errorLinked(bodyOf(dict), errback) });
  if (!isGroup(dict)) return withLink(dict, 'link_error', errback);
  return withKwargs(dict, { tasks: tasksOf(dict).map((task) => errorLinked(task, errback)) });
}

function withKwargs(dict: SignatureDict, kwargs: Readonly<Record<string, unknown>>): SignatureDict {
  return { ...dict, kwargs: { ...dict.kwargs, ...kwargs } };
}
