import type { Binding, ExchangeType } from '../../messaging/entity.ts';

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

/** Queues that a message sent to an exchange of this type reaches, each once, in the order of the bindings. */
export function routes(bindings: Iterable<Binding>, type: ExchangeType, routingKey: string): string[] {
  const queues = new Set<string>();
  for (const binding of bindings) {
    if (type === 'direct' || type === 'headers') {
      if (binding.routingKey === routingKey) queues.add(binding.queue);
    } else if (type === 'fanout' || topicMatches(binding.routingKey, routingKey)) {
      queues.add(binding.queue);
    }
  }
  return [...queues];
}
