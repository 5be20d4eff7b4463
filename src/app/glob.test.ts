import fc from 'fast-check';
import { expect, test } from 'vitest';
import { topicMatches } from '../transports/virtual/topic.ts';
import { globMatcher } from './glob.ts';
import { nodeMatches } from './node-match.ts';

test.each([
  ['celery@*', 'celery@host', true],
  ['*@host', 'celery@host', true],
  ['a.b', 'axb', false],
  ['w[12]@h', 'w2@h', true],
  ['w[!12]@h', 'w2@h', false],
  ['w[1-3]', 'w2', true],
  ['[]a]', ']', true],
  ['[a', '[a', true],
  ['?', '', false],
  ['', '', true],
  ['*', 'line\nbreak', true],
  ['$^\\', '$^\\', true],
])('%j against %j: %s', (pattern, text, expected) => {
  expect(globMatcher(pattern)(text)).toBe(expected);
});

/** The obvious way: every star tries every length. */
function slowly(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  if (pattern[0] === '*') return slowly(pattern.slice(1), text) || (text !== '' && slowly(pattern, text.slice(1)));
  return text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && slowly(pattern.slice(1), text.slice(1));
}

test('any pattern matches what it means', () => {
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 });
  const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 });
  fc.assert(
    fc.property(pattern, text, (glob, value) => globMatcher(glob)(value) === slowly(glob, value)),
    { seed: 1, numRuns: 2_000 },
  );
});

/** AMQP's topics by the book: `#` takes any number of words. */
function topicSlowly([first, ...more]: readonly string[], words: readonly string[]): boolean {
  if (first === undefined) return words.length === 0;
  if (first === '#')
    return topicSlowly(more, words) || (words.length > 0 && topicSlowly([first, ...more], words.slice(1)));
  return words.length > 0 && (first === '*' || first === words[0]) && topicSlowly(more, words.slice(1));
}

test('any topic matches what it means', () => {
  const key = fc.array(fc.constantFrom('a', 'b', '*', '#'), { minLength: 1, maxLength: 6 });
  const words = fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 7 });
  fc.assert(
    fc.property(
      key,
      words,
      (bound, sent) => topicMatches(bound.join('.'), sent.join('.')) === topicSlowly(bound, sent),
    ),
    { seed: 1, numRuns: 2_000 },
  );
});

test('patterns of strangers end, whatever they are', () => {
  const long = 'a'.repeat(5_000);
  expect(globMatcher('*a'.repeat(200) + 'b')(long)).toBe(false);
  expect(topicMatches(`${'#.'.repeat(200)}b`, 'a.'.repeat(2_000) + 'a')).toBe(false);
  expect(() => nodeMatches(`${'a'.repeat(60)}!`, '(a+)+$', 'pcre')).toThrow('takes too long');
  expect(nodeMatches('celery@host', 'celery@.*', 'pcre')).toBe(true);
  expect(() => nodeMatches('celery@host', '(', 'pcre')).toThrow('is no pcre pattern');
});
