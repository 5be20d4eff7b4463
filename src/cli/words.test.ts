import { expect, test } from 'vitest';
import { splitWords } from './words.ts';

test.each([
  ['', []],
  ['  a  b\tc ', ['a', 'b', 'c']],
  [`a 'b c' "d e"`, ['a', 'b c', 'd e']],
  [`x='a b'c`, ['x=a bc']],
  ["''", ['']],
  [String.raw`a\ b "c\"d" 'e\f' "g\h"`, ['a b', 'c"d', String.raw`e\f`, String.raw`g\h`]],
])('%j', (line, words) => expect(splitWords(line)).toEqual(words));

test('an open quote is an error', () => expect(() => splitWords(`a "b`)).toThrow(SyntaxError));
