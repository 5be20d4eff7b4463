import { ImproperlyConfigured } from '../errors.ts';
import { globToRegExp } from './glob.ts';

/** How a pattern is read: shell wildcards over the whole name, or a regular expression anchored at the start. */
export type Matcher = 'glob' | 'pcre';

/**
 * Whether a command sent with this pattern is meant for the node.
 * @throws {ImproperlyConfigured} when the pattern cannot be read, or the matcher is neither `glob` nor `pcre`
 *
 * Source: `kombu.matcher`.
 */
export function nodeMatches(node: string, pattern: string, matcher: string): boolean {
  if (matcher !== 'glob' && matcher !== 'pcre') {
    throw new ImproperlyConfigured(`node pattern: expected the matcher "glob" or "pcre", got "${matcher}"`);
  }
  try {
    return (matcher === 'glob' ? globToRegExp(pattern) : new RegExp(`^(?:${pattern})`)).test(node);
  } catch (cause) {
    throw new ImproperlyConfigured(`node pattern: ${JSON.stringify(pattern)} is no ${matcher} pattern`, { cause });
  }
}
