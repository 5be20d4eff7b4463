import { callDict, asDict, chainDict, isChain, isGroup, tasksOf, withOptions } from '../canvas/dict.ts';
import { errorLinked, linked } from '../canvas/links.ts';
import { stampDict } from '../canvas/stamp.ts';
import { Ignore, ImproperlyConfigured } from '../errors.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { Celery } from './celery.ts';
import type { TaskRequest } from './request.ts';

/** Ends a run whose place another signature has taken. */
export class Replaced extends Ignore {
  /** What the other one gave, where it ran at once. */
  readonly outcome: { readonly value: unknown } | undefined;
  constructor(outcome?: { readonly value: unknown }) {
    super('Replaced by new task');
    this.outcome = outcome;
  }
}

/**
 * Sends `signature` in place of a running task: under its id, with its chord, its callbacks and the rest of its chain.
 * Source: `Task.replace` (spec: messages.md 6.7).
 */
export async function sendReplacement(app: Celery, request: TaskRequest, signature: SignatureDict): Promise<Replaced> {
  if (signature.options['chord'] != null) {
    throw new ImproperlyConfigured('expected a signature to replace the task with, got one that is part of a chord');
  }
  if (isChain(signature) && tasksOf(signature).length === 0) {
    throw new ImproperlyConfigured('expected a signature to replace the task with, got an empty chain');
  }
  if (request.isEager || request.calledDirectly) {
    const result = await app.sender.apply(signature);
    return new Replaced({ value: await result.get({ allowInTask: true }) });
  }
  const nesting = request.replacedTaskNesting + 1;
  // A group has no end that links could be put on: its values are gathered by a task of Celery's own.
  let dict = isGroup(signature) ? chainDict([signature, gather]) : signature;
  dict = (request.callbacks ?? []).map(asDict).reduce(linked, dict);
  dict = (request.errbacks ?? []).map(asDict).reduce(errorLinked, dict);
  if (request.stampedHeaders !== null) dict = stampDict(dict, { stamps: request.stamps });
  const options = {
    task_id: request.id,
    root_id: request.rootId ?? request.id,
    parent_id: request.id,
    replaced_task_nesting: nesting,
    chain: (request.chain ?? []).map((step) => withOptions(asDict(step), { replaced_task_nesting: nesting })),
  };
  const { group, groupIndex, chord } = request;
  await app.sender.sendDetached(
    nested(dict, nesting),
    options.chain.length === 0 ? { ...options, chain: null } : options,
    {},
    {
      group: group === null ? undefined : { id: group, index: groupIndex ?? undefined, named: true },
      chord: chord === null ? undefined : asDict(chord),
    },
  );
  return new Replaced();
}

const gather = callDict('celery.accumulate', [], { kwargs: { index: 0 } });

/** Every step of a replacing chain says how deep it is in replacements. */
function nested(dict: SignatureDict, nesting: number): SignatureDict {
  if (!isChain(dict)) return dict;
  const tasks = tasksOf(dict).map((step) => withOptions(step, { replaced_task_nesting: nesting }));
  return { ...dict, kwargs: { ...dict.kwargs, tasks } };
}
