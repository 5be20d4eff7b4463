/**
 * Splits a line into words as a POSIX shell does: blanks separate, quotes and backslashes hold together.
 * Nothing is expanded. Source: `shlex.split`.
 * @throws {SyntaxError} for a quote that is not closed
 */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < line.length; at++) {
    const char = line[at] as string;
    if (quote === '' && /\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === '\\' && quote !== "'" && at + 1 < line.length) {
      const next = line[++at] as string;
      word = (word ?? '') + (quote === '"' && !'"\\'.includes(next) ? `\\${next}` : next);
    } else if (quote === '' && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (char === quote && quote !== '') quote = '';
    else word = (word ?? '') + char;
  }
  if (quote !== '') throw new SyntaxError(`a quote (${quote}) is not closed: ${line}`);
  if (word !== undefined) words.push(word);
  return words;
}
