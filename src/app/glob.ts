/** One place of a pattern: any run of characters, any one, one of a set, or exactly this one. */
type Token = '*' | '?' | RegExp | { readonly char: string };

/**
 * Matches a shell pattern against whole texts: `*`, `?`, `[abc]`, `[!abc]`; dots are ordinary.
 * Takes at most the product of both lengths in steps: patterns also come from remote control.
 * Source: Python's `fnmatch`.
 */
export function globMatcher(pattern: string): (text: string) => boolean {
  const tokens = parse(pattern);
  return (text) => matches(tokens, text);
}

function parse(pattern: string): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] as string;
    const set = char === '[' ? /^\[(!?)(\]?[^\]]*)\]/.exec(pattern.slice(i)) : null;
    if (set !== null) {
      tokens.push(new RegExp(`^[${set[1] ? '^' : ''}${(set[2] as string).replace(/[\\[\]^]/g, '\\$&')}]$`, 's'));
      i += set[0].length - 1;
    } else if (char !== '*') tokens.push(char === '?' ? '?' : { char });
    else if (tokens.at(-1) !== '*') tokens.push('*');
  }
  return tokens;
}

function fits(token: Token, char: string): boolean {
  if (token === '?') return true;
  return token instanceof RegExp ? token.test(char) : typeof token === 'object' && token.char === char;
}

/** Only the last star is ever tried again: what an earlier one takes more, a later one can take as well. */
function matches(tokens: readonly Token[], text: string): boolean {
  let at = 0;
  let star = -1;
  let retryFrom = 0;
  for (let i = 0; i < text.length;) {
    const token = tokens[at];
    if (token === '*') {
      star = at++;
      retryFrom = i;
    } else if (token !== undefined && fits(token, text[i] as string)) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++retryFrom;
    } else return false;
  }
  while (tokens[at] === '*') at++;
  return at === tokens.length;
}
