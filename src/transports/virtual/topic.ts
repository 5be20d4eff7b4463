import { isDeepStrictEqual } from 'node:util';
import type { Message } from '../../protocol/message.ts';
import { ChannelError } from '../../errors.ts';
import type { Binding, Exchange, ExchangeType } from '../../messaging/entity.ts';

/** Whether a topic binding key takes a routing key: `*` is one word, `#` any number of words, none included. */
export function topicMatches(bindingKey: string, routingKey: string): boolean {
  return matches(bindingKey.split('.'), routingKey.split('.'));
}

/** Only the last `#` is ever tried again: what an earlier one takes more, a later one can take as well. */
function matches(pattern: readonly string[], words: readonly string[]): boolean {
  let at = 0;
  let hash = -1;
  let retryFrom = 0;
  for (let i = 0; i < words.length;) {
    const one = pattern[at];
    if (one === '#') {
      hash = at++;
      retryFrom = i;
    } else if (one !== undefined && (one === '*' || one === words[i])) {
      at++;
      i++;
    } else if (hash >= 0) {
      at = hash + 1;
      i = ++retryFrom;
    } else return false;
  }
  while (pattern[at] === '#') at++;
  return at === pattern.length;
}

/**
 * Whether a message's headers have what a binding of a headers exchange asks for: all of it, or any of it with
 * `x-match: any`. Names that begin with `x-` do not count, unless `x-match` ends in `-with-x`.
 */
export function headersMatch(wanted: Readonly<Record<string, unknown>>, headers: Message['headers']): boolean {
  const match = String(wanted['x-match'] ?? 'all');
  const withX = match.endsWith('-with-x');
  const names = Object.keys(wanted).filter((name) => (withX ? name !== 'x-match' : !name.startsWith('x-')));
  const has = (name: string): boolean =>
    Object.hasOwn(headers, name) && (wanted[name] === undefined || isDeepStrictEqual(headers[name], wanted[name]));
  return match.startsWith('any') ? names.some(has) : names.every(has);
}

/**
 * For brokers that keep a binding's key and nothing else, as kombu's do, which refuse it too.
 * @throws {ChannelError} for an exchange of type headers
 */
export function refuseHeaders({ name, type }: Exchange): void {
  if (type !== 'headers') return;
  throw new ChannelError(`exchange "${name}": this broker routes by key; exchanges of type headers need RabbitMQ`);
}

/** Queues that a message sent to an exchange of this type reaches, each once, in the order of the bindings. */
export function routes(
  bindings: Iterable<Binding>,
  type: ExchangeType,
  routingKey: string,
  headers: Message['headers'],
): string[] {
  const queues = new Set<string>();
  for (const binding of bindings) {
    if (type === 'headers') {
      if (headersMatch(binding.arguments ?? {}, headers)) queues.add(binding.queue);
    } else if (type === 'direct') {
      if (binding.routingKey === routingKey) queues.add(binding.queue);
    } else if (type === 'fanout' || topicMatches(binding.routingKey, routingKey)) {
      queues.add(binding.queue);
    }
  }
  return [...queues];
}
