import { hostname } from 'node:os';

/**
 * A worker's name in the cluster. `%h` is the host's full name, `%n` its first part, `%d` the rest, `%%` a percent sign;
 * a name without `@` is completed with the host.
 * Source: celery.utils.nodenames.
 */
export function nodeName(template: string | undefined, host: string = hostname()): string {
  const [name = host, ...domain] = host.split('.');
  const values: Readonly<Record<string, string>> = { h: host, n: name, d: domain.join('.'), i: '0', I: '', '%': '%' };
  const given = (template ?? 'celery@%h').replace(/%([hndiI%])/g, (_, letter: string) => values[letter] as string);
  return given.includes('@') ? given : `${given}@${host}`;
}

/** A file's name for one node: `%n` its name, `%d` its host, `%h` and `%p` both, as in Celery's `--logfile`. */
export function nodeFile(template: string, node: string): string {
  const [short = '', domain = hostname()] = node.split('@');
  const values: Readonly<Record<string, string>> = { n: short, h: node, p: node, d: domain, i: '0', I: '' };
  return template.replace(/%([nhpdiI])/g, (_, letter: string) => values[letter] as string);
}
