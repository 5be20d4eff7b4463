import { expect, test } from 'vitest';
import { annotationsFor, type TaskAnnotations } from './annotations.ts';
import { globMatcher } from './glob.ts';

test.each<[string, TaskAnnotations | null, object]>([
  ['nothing', null, {}],
  ['by name', { 'a.b': { rateLimit: '1/s' }, other: { maxRetries: 9 } }, { rateLimit: '1/s' }],
  [
    'the name wins over the star',
    { '*': { rateLimit: '9/s', priority: 1 }, 'a.b': { rateLimit: '1/s' } },
    { rateLimit: '1/s', priority: 1 },
  ],
  ['snake_case', { '*': { rate_limit: '1/s' } as object }, { rateLimit: '1/s' }],
  ['the first of a list that answers', [{ 'a.b': { priority: 1 } }, { 'a.b': { priority: 2 } }], { priority: 1 }],
  ['a function', [() => null, (name) => ({ queue: name })], { queue: 'a.b' }],
])('%s', (_, annotations, expected) => {
  expect(annotationsFor(annotations, 'a.b')).toEqual(expected);
});

test.each([
  ['a.*', 'a.b', true],
  ['a.*', 'aXb', false],
  ['*', 'line\nbreak', true],
  ['a?c*', 'abcd', true],
  ['[!a]*', 'a', false],
  ['[]]*', ']x', true],
  ['[*', '[x', true],
  ['a+(b)*', 'a+(b)c', true],
])('%s on %j: %s', (pattern, text, expected) => {
  expect(globMatcher(pattern)(text)).toBe(expected);
});
