import { format, Node } from './node.ts';
import { optionsOf, type Options, type ParsedWords } from './options.ts';

export interface ClusterDefaults {
  readonly command: string;
  readonly executable: string;
  /** This machine's name. */
  readonly hostname: string;
}

/**
 * The nodes that words name: `3` is celery1 to celery3, anything else a name each.
 * @throws {RangeError} for an option of a node that is not there
 *
 * Source: `MultiParser` of celery.apps.multi.
 */
export function nodesOf(parsed: ParsedWords, defaults: ClusterDefaults): Node[] {
  const options: Options = new Map(parsed.options);
  const take = (name: string): string | undefined => {
    const value = options.get(name);
    options.delete(name);
    return value;
  };
  const command = take('--cmd') ?? defaults.command;
  const append = take('--append') ?? '';
  const short = take('-n');
  const hostname = take('--hostname') ?? short ?? defaults.hostname;
  let prefix = take('--prefix') ?? '';
  const suffix = ((text) => (text === '""' || text === "''" ? '' : text))(take('--suffix') || hostname);
  const rangePrefix = take('--range-prefix') || 'celery';

  let names = parsed.values;
  const isRange = names.length === 1;
  if (isRange && /^\s*[+-]?\d+\s*$/.test(names[0] as string)) {
    names = Array.from({ length: Math.max(0, Number(names[0])) }, (_, index) => String(index + 1));
    prefix = rangePrefix;
  }
  const { namespaces } = parsed;
  spreadIndices(namespaces, names);
  spreadRanges(namespaces, isRange);
  return names.map((name) => {
    const { full, own } = nodeName(name, prefix, suffix, defaults.hostname);
    const namespace = namespaces.get(full) ?? namespaces.get(own) ?? new Map<string, string | undefined>();
    const merged = new Map([...options, ...namespace]);
    const { passthrough: extra } = parsed;
    return new Node(full, merged, { command, append, executable: defaults.executable, extra });
  });
}

function nodeName(name: string, prefix: string, suffix: string, host: string): { full: string; own: string } {
  const [first = host, ...domain] = host.split('.');
  const values = { h: host, n: first, d: domain.join('.'), i: '0', I: '' };
  const full = format(name.includes('@') ? name : `${prefix}${name}@${suffix}`, values);
  return { full, own: name.includes('@') ? (full.split('@')[0] as string) : name };
}

/** A number is a position in the list of names. */
function spreadIndices(namespaces: Map<string, Options>, names: readonly string[]): void {
  for (const [namespace, options] of [...namespaces]) {
    if (!/^\d+$/.test(namespace)) continue;
    if (Number(namespace) < 1) throw new RangeError(`options are numbered from 1, got :${namespace}`);
    const name = names[Number(namespace) - 1];
    if (name === undefined) throw new RangeError(`there is no node ${namespace}: there are ${names.length}`);
    for (const [option, value] of [...options]) optionsOf(namespaces, name).set(option, value);
  }
}

function spreadRanges(namespaces: Map<string, Options>, isRange: boolean): void {
  for (const [namespace, options] of [...namespaces]) {
    if (!namespace.includes(',') && !(isRange && namespace.includes('-'))) continue;
    namespaces.delete(namespace);
    for (const part of namespace.split(',')) {
      for (const name of isRange ? numbers(part) : [part]) {
        for (const [option, value] of options) optionsOf(namespaces, name).set(option, value);
      }
    }
  }
}

function numbers(part: string): string[] {
  if (!part.includes('-')) return [part];
  const [from, to, more] = part.split('-').map(Number);
  if (from === undefined || to === undefined || more !== undefined || Number.isNaN(from) || Number.isNaN(to)) {
    throw new RangeError(`expected a range such as 1-3, got "${part}"`);
  }
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => String(from + index));
}
