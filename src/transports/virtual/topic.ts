import type { Binding, ExchangeType } from '../../messaging/entity.ts';

/** Whether a topic binding key takes a routing key: `*` is one word, `#` any number of words, none included. */
export function topicMatches(bindingKey: string, routingKey: string): boolean {
  return matches(bindingKey.split('.'), 0, routingKey.split('.'), 0);
}

function matches(pattern: readonly string[], p: number, words: readonly string[], w: number): boolean {
  for (; p < pattern.length; p++, w++) {
    if (pattern[p] === '#') {
      if (p === pattern.length - 1) return true;
      for (let rest = w; rest <= words.length; rest++) if (matches(pattern, p + 1, words, rest)) return true;
      return false;
    }
    if (w >= words.length || (pattern[p] !== '*' && pattern[p] !== words[w])) return false;
  }
  return w === words.length;
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
