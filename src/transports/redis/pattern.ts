/** The expression that kombu stores for a topic binding key. Source: `TopicExchange.key_to_pattern`. */
export function topicPattern(bindingKey: string): string {
  const words = bindingKey.split('.').map((word) => {
    if (word === '*') return '.*?[^\\.]';
    if (word === '#') return '.*?';
    return word.replace(/[^\p{L}\p{N}#*]/gu, (char) => (char === '\0' ? '\\000' : `\\${char}`));
  });
  return `^${words.join('\\.')}$`;
}
