import type { SignatureDict } from '../protocol/task-message.ts';
import { bodyOf, groupDict, headerOf, isChain, isChord, isGroup, listOf, tasksOf } from './dict.ts';

/*
 * Stamping: names and values written into every signature of a canvas, and carried by their messages.
 * Source: `Signature.stamp` and its overrides (celery.canvas).
 */

/** Stamps by name. `stamped_headers` lists those that count; without it all do. */
export type StampValues = Readonly<Record<string, unknown>>;

/** Sees every part of a canvas, in Celery's order; what it returns is stamped on that part and what is in it. */
export interface StampingVisitor {
  onSignature?(signature: SignatureDict, stamps: StampValues): StampValues | void;
  onGroupStart?(group: SignatureDict, stamps: StampValues): StampValues | void;
  onGroupEnd?(group: SignatureDict, stamps: StampValues): void;
  onChainStart?(chain: SignatureDict, stamps: StampValues): StampValues | void;
  onChainEnd?(chain: SignatureDict, stamps: StampValues): void;
  /** @default `onGroupStart` of the header */
  onChordHeaderStart?(chord: SignatureDict, stamps: StampValues): StampValues | void;
  /** @default `onGroupEnd` of the header */
  onChordHeaderEnd?(chord: SignatureDict, stamps: StampValues): void;
  onChordBody?(chord: SignatureDict, stamps: StampValues): StampValues | void;
  /** A signature that is called on success. */
  onCallback?(callback: SignatureDict, stamps: StampValues): StampValues | void;
  /** A signature that is called on failure. */
  onErrback?(errback: SignatureDict, stamps: StampValues): StampValues | void;
}

export interface StampOptions {
  readonly visitor?: StampingVisitor | undefined;
  /** Two values for one name become a list; else the newer counts. @default false */
  readonly append?: boolean | undefined;
}

interface Stamping {
  readonly visitor: StampingVisitor;
  readonly append: boolean;
}

type Dict = Record<string, unknown>;

export function stampDict(dict: SignatureDict, given: StampOptions & { readonly stamps?: StampValues }): SignatureDict {
  return stamp(dict, given.stamps ?? {}, { visitor: given.visitor ?? {}, append: given.append ?? false });
}

function stamp(dict: SignatureDict, stamps: StampValues, how: Stamping): SignatureDict {
  const { visitor } = how;
  if (isChain(dict)) {
    const all = merged(dict, stamps, visitor.onChainStart?.(dict, stamps), how);
    const linked = stampLinks(dict, all, how);
    const done = withTasks(
      linked,
      tasksOf(dict).map((task) => stamp(task, all, how)),
    );
    visitor.onChainEnd?.(done, all);
    return done;
  }
  if (isGroup(dict)) {
    const all = merged(dict, stamps, visitor.onGroupStart?.(dict, stamps), how);
    const linked = stampLinks(dict, all, how);
    const done = withTasks(
      linked,
      tasksOf(dict).map((task) => stamp(task, all, how)),
    );
    visitor.onGroupEnd?.(done, all);
    return done;
  }
  if (isChord(dict)) return stampChord(dict, stamps, how);
  const linked = stampLinks(dict, stamps, how);
  const all = merged(linked, stamps, visitor.onSignature?.(linked, stamps), how);
  return { ...linked, options: { ...linked.options, ...all } };
}

function stampChord(dict: SignatureDict, stamps: StampValues, how: Stamping): SignatureDict {
  const { visitor } = how;
  const group = groupDict(headerOf(dict));
  const begun = visitor.onChordHeaderStart
    ? visitor.onChordHeaderStart(dict, stamps)
    : visitor.onGroupStart?.(group, stamps);
  let all = merged(dict, stamps, begun, how);
  const linked = stampLinks(dict, all, how);
  const members = headerOf(dict).map((task) => stamp(task, all, how));
  const old = dict.kwargs['header'];
  const header = Array.isArray(old) ? members : withTasks(old as SignatureDict, members);
  if (visitor.onChordHeaderEnd) visitor.onChordHeaderEnd(dict, all);
  else visitor.onGroupEnd?.(groupDict(members), all);
  const onBody = visitor.onChordBody?.(dict, all);
  all = merged(dict, all, onBody, how);
  return { ...linked, kwargs: { ...linked.kwargs, header, body: stamp(bodyOf(dict), all, how) } };
}

function withTasks(dict: SignatureDict, tasks: readonly SignatureDict[]): SignatureDict {
  return { ...dict, kwargs: { ...dict.kwargs, tasks } };
}

/** Links get the stamps of their own visit, not those that the linking signature had before. */
function stampLinks(dict: SignatureDict, stamps: StampValues, how: Stamping): SignatureDict {
  const { visitor } = how;
  const options: Dict = { ...dict.options };
  const visit = (name: 'link' | 'link_error', hook: 'onCallback' | 'onErrback'): void => {
    if (options[name] == null) return;
    options[name] = listOf(options[name]).map((link) =>
      stamp(link, merged(undefined, stamps, visitor[hook]?.(link, stamps), how), how),
    );
  };
  visit('link', 'onCallback');
  visit('link_error', 'onErrback');
  return { ...dict, options };
}

function merged(
  dict: SignatureDict | undefined,
  stamps: StampValues,
  visited: StampValues | void | undefined,
  { append }: Stamping,
): StampValues {
  const all: Dict = { ...stamps };
  all['stamped_headers'] ??= Object.keys(all);
  if (visited) add(all, { ...visited, stamped_headers: visited['stamped_headers'] ?? Object.keys(visited) }, append);
  if (dict !== undefined) {
    const own = dict.options['stamped_headers'];
    const names = [...new Set([...list(all['stamped_headers']), ...list(own)])];
    all['stamped_headers'] = names;
    const kept = Object.fromEntries(Object.entries(dict.options).filter(([name]) => names.includes(name)));
    add(all, kept, append);
  }
  all['stamped_headers'] = [...new Set(list(all['stamped_headers']))];
  return all;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : value === undefined || value === null ? [] : [value];
}

/** Source: `_merge_dictionaries`: what is there stays; lists grow; with `append` other values become lists. */
function add(into: Dict, more: StampValues, append: boolean): void {
  for (const [name, value] of Object.entries(more)) {
    const present = append && name in into ? list(into[name]) : into[name];
    if (!(name in into)) into[name] = value;
    else if (Array.isArray(present) && Array.isArray(value))
      into[name] = [...(present as unknown[]), ...(value as unknown[])];
    else if (append) into[name] = [...list(present), value];
  }
}
