/*
 * namespace   what stands behind a colon in an option: `-c:1 10` is for node 1, `-Q:1-3,5 a` for four nodes
 * value       a word without a dash that belongs to no option: the names of the nodes, or how many there are
 */

export type Options = Map<string, string | undefined>;

export interface ParsedWords {
  readonly options: Options;
  readonly values: string[];
  readonly namespaces: Map<string, Options>;
  /** Everything from `--` on, as one text. */
  readonly passthrough: string;
}

/** Source: `NamespacedOptionParser` of celery.apps.multi. */
export function parseWords(words: readonly string[]): ParsedWords {
  const given = words.filter((word) => word !== '');
  const options: Options = new Map();
  const values: string[] = [];
  const namespaces = new Map<string, Options>();
  let passthrough = '';
  const add = (name: string, value: string | undefined, prefix: string): void => {
    const [own = '', namespace] = name.split(':');
    const into = namespace === undefined ? options : optionsOf(namespaces, namespace);
    into.set(prefix + own, value);
  };
  for (let at = 0; at < given.length; at++) {
    const word = given[at] as string;
    if (word === '--') {
      passthrough = given.slice(at).join(' ');
      break;
    }
    if (word.startsWith('--')) {
      const [, name = '', , value] = /^--([^=]*)(=(.*))?$/s.exec(word) ?? [];
      add(name, value, '--');
    } else if (word.startsWith('-')) {
      const next = given[at + 1];
      const takes = next !== undefined && !next.startsWith('-');
      if (takes) at++;
      add(word.slice(1), takes ? next : undefined, '-');
    } else values.push(word);
  }
  return { options, values, namespaces, passthrough };
}

export function optionsOf(namespaces: Map<string, Options>, namespace: string): Options {
  const present = namespaces.get(namespace);
  if (present) return present;
  const made: Options = new Map();
  namespaces.set(namespace, made);
  return made;
}
