import type { SignatureDict } from '../protocol/task-message.ts';
import type { WireOptions } from './wire-options.ts';

/*
 * Signatures as plain data: how Celery writes them, joins them and fills them in.
 * Nothing here sends anything or changes what it is given. Spec: messages.md 5.
 */

export type Kwargs = Readonly<Record<string, unknown>>;

export const NO_KWARGS: Kwargs = Object.freeze({});
const NO_OPTIONS: WireOptions = Object.freeze({});

export function callDict(
  task: string,
  args: readonly unknown[],
  more: { kwargs?: Kwargs; options?: WireOptions; immutable?: boolean } = {},
): SignatureDict {
  return {
    task,
    args,
    kwargs: more.kwargs ?? NO_KWARGS,
    options: more.options ?? NO_OPTIONS,
    subtask_type: null,
    immutable: more.immutable ?? false,
  };
}

function composite(type: 'chain' | 'group' | 'chord', kwargs: Kwargs): SignatureDict {
  return { task: `celery.${type}`, args: [], kwargs, options: NO_OPTIONS, subtask_type: type, immutable: false };
}

export function isChain(dict: SignatureDict): boolean {
  return dict.subtask_type === 'chain';
}
export function isGroup(dict: SignatureDict): boolean {
  return dict.subtask_type === 'group';
}
export function isChord(dict: SignatureDict): boolean {
  return dict.subtask_type === 'chord';
}

/** Members of a chain or group. */
export function tasksOf(dict: SignatureDict): readonly SignatureDict[] {
  const tasks = dict.kwargs['tasks'];
  return Array.isArray(tasks) ? (tasks as SignatureDict[]) : [];
}

/** Members of a chord's header, which is a list, or a group once it was frozen. */
export function headerOf(chord: SignatureDict): readonly SignatureDict[] {
  const header = chord.kwargs['header'];
  return Array.isArray(header) ? (header as SignatureDict[]) : tasksOf(header as SignatureDict);
}

export function bodyOf(chord: SignatureDict): SignatureDict {
  return chord.kwargs['body'] as SignatureDict;
}

const NO_GROUPS: ReadonlySet<SignatureDict> = new Set();

export function groupDict(tasks: readonly SignatureDict[]): SignatureDict {
  return composite('group', { tasks });
}

export function chordDict(header: readonly SignatureDict[], body: SignatureDict): SignatureDict {
  return composite('chord', { kwargs: {}, header, body });
}

/**
 * `a | b | …`: nested chains are flattened, a single step stays as it is, a group that is followed by something
 * becomes a chord with it, and what follows a chord joins the chord's body.
 * @param whole groups among the steps that stay groups, also where they have one member
 */
export function chainDict(
  steps: readonly SignatureDict[],
  whole: ReadonlySet<SignatureDict> = NO_GROUPS,
): SignatureDict {
  const joined: SignatureDict[] = [];
  for (const step of steps.flatMap((one) => unchained(one, whole))) {
    const last = joined.at(-1);
    if (last !== undefined && isGroup(last)) joined[joined.length - 1] = chordDict(tasksOf(last), step);
    else if (last !== undefined && isChord(last)) {
      joined[joined.length - 1] = withBody(last, after(bodyOf(last), step, whole));
    } else joined.push(step);
  }
  const [only] = joined;
  return joined.length === 1 && only !== undefined ? only : composite('chain', { tasks: joined });
}

/** A chain's steps; a group of one is its member (Celery unrolls it, so that the next step gets no list). */
function unchained(step: SignatureDict, whole: ReadonlySet<SignatureDict>): readonly SignatureDict[] {
  if (isChain(step)) return tasksOf(step).flatMap((one) => unchained(one, whole));
  const members = isGroup(step) && !whole.has(step) ? tasksOf(step) : [];
  const [only] = members;
  return members.length === 1 && only !== undefined ? unchained(only, whole) : [step];
}

/** A body that is a group yields a list, also where it is a group of one: Celery unrolls only a chain's own steps. */
function after(body: SignatureDict, step: SignatureDict, whole: ReadonlySet<SignatureDict>): SignatureDict {
  return isGroup(body) ? chordDict(tasksOf(body), step) : chainDict([body, step], whole);
}

function withBody(chord: SignatureDict, body: SignatureDict): SignatureDict {
  return { ...chord, kwargs: { ...chord.kwargs, body } };
}

/** `options` over the signature's own, except for what a frozen group or a stamp has fixed already. */
export function withOptions(dict: SignatureDict, options: WireOptions): SignatureDict {
  let changed: Record<string, unknown> | undefined;
  const fixed = fixedOptions(dict.options);
  for (const name in options) {
    const value = options[name];
    if (value === null || value === undefined || fixed?.has(name)) continue;
    (changed ??= { ...dict.options })[name] = value;
  }
  return changed === undefined ? dict : { ...dict, options: changed };
}

/** Source: `Signature._merge`: group id and stamps cannot be overridden. */
function fixedOptions(options: WireOptions): ReadonlySet<string> | undefined {
  const stamped = options['stamped_headers'];
  if (options['group_id'] === undefined && !Array.isArray(stamped)) return undefined;
  const fixed = new Set<string>(Array.isArray(stamped) ? ['stamped_headers', ...(stamped as string[])] : []);
  if (options['group_id'] !== undefined && options['group_id'] !== null) fixed.add('group_id');
  return fixed;
}

/** Puts arguments in front of those that are bound; an immutable signature keeps its own. */
export function withArgs(dict: SignatureDict, args: readonly unknown[], kwargs: Kwargs = NO_KWARGS): SignatureDict {
  if (dict.immutable || (args.length === 0 && Object.keys(kwargs).length === 0)) return dict;
  if (isChain(dict)) {
    const [first, ...rest] = tasksOf(dict);
    return first === undefined
      ? dict
      : { ...dict, kwargs: { ...dict.kwargs, tasks: [withArgs(first, args, kwargs), ...rest] } };
  }
  if (isGroup(dict)) {
    return { ...dict, kwargs: { ...dict.kwargs, tasks: tasksOf(dict).map((task) => withArgs(task, args, kwargs)) } };
  }
  if (isChord(dict)) {
    const header = headerOf(dict).map((task) => withArgs(task, args, kwargs));
    const old = dict.kwargs['header'];
    return {
      ...dict,
      kwargs: { ...dict.kwargs, header: Array.isArray(old) ? header : groupLike(old as SignatureDict, header) },
    };
  }
  return { ...dict, args: [...args, ...dict.args], kwargs: { ...dict.kwargs, ...kwargs } };
}

function groupLike(group: SignatureDict, tasks: readonly SignatureDict[]): SignatureDict {
  return { ...group, kwargs: { ...group.kwargs, tasks } };
}

/** `link` and `link_error` are a signature or a list of them on the wire. */
export function listOf(value: unknown): readonly SignatureDict[] {
  if (value === null || value === undefined) return [];
  return Array.isArray(value) ? (value as SignatureDict[]) : [value as SignatureDict];
}

/** Adds to a list of links; the same link twice counts once, as in Celery. */
export function withLink(dict: SignatureDict, option: 'link' | 'link_error', link: SignatureDict): SignatureDict {
  const present = listOf(dict.options[option]);
  const text = JSON.stringify(link);
  if (present.some((other) => JSON.stringify(other) === text)) return dict;
  return { ...dict, options: { ...dict.options, [option]: [...present, link] } };
}

/** A signature as it came off the wire or out of a file, with what may be missing filled in. */
export function asDict(value: unknown): SignatureDict {
  const raw = value as Partial<SignatureDict>;
  return {
    task: raw.task as string,
    args: raw.args ?? [],
    kwargs: raw.kwargs ?? {},
    options: raw.options ?? {},
    subtask_type: raw.subtask_type ?? null,
    immutable: raw.immutable ?? false,
  };
}
