/**
 * A shell pattern as a regular expression over the whole text: `*`, `?`, `[abc]`, `[!abc]`; dots are ordinary.
 * Source: Python's `fnmatch.translate`.
 */
export function globToRegExp(pattern: string): RegExp {
  let source = '';
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] as string;
    if (char === '*') source += '.*';
    else if (char === '?') source += '.';
    else if (char === '[') {
      const set = /^\[(!?)(\]?[^\]]*)\]/.exec(pattern.slice(i));
      if (set) {
        source += `[${set[1] ? '^' : ''}${(set[2] as string).replace(/[\\[\]^]/g, '\\$&')}]`;
        i += set[0].length - 1;
      } else source += '\\[';
    } else source += char.replace(/[.+^${}()|\]\\/]/g, '\\$&');
  }
  return new RegExp(`^${source}$`, 's');
}
