import { runInNewContext } from 'node:vm';
import { ImproperlyConfigured } from '../errors.ts';
import { globMatcher } from './glob.ts';

/** How a pattern is read: shell wildcards over the whole name, or a regular expression anchored at the start. */
export type Matcher = 'glob' | 'pcre';

/** Expressions come from whoever may send commands; some would run for hours. */
const LONGEST_MATCH_MS = 200;

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
  if (matcher === 'glob') return globMatcher(pattern)(node);
  try {
    const expression = new RegExp(`^(?:${pattern})`);
    return runInNewContext('expression.test(node)', { expression, node }, { timeout: LONGEST_MATCH_MS }) as boolean;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') {
      throw new ImproperlyConfigured(`node pattern: ${JSON.stringify(pattern)} takes too long`, { cause });
    }
    throw new ImproperlyConfigured(`node pattern: ${JSON.stringify(pattern)} is no ${matcher} pattern`, { cause });
  }
}
