import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Decimal, PlainDate, PlainTime, Uuid } from '../serializers/types.ts';
import { pyRepr } from './repr.ts';
import { argsRepr, kwargsRepr, safeRepr } from './safe-repr.ts';

test.each<[readonly unknown[], string]>([
  [[], '()'],
  [[1], '(1,)'],
  [[1, 2], '(1, 2)'],
  [[[1, 2]], '([1, 2],)'],
  [[null, true, false, "it's", 'say "hi"'], "(None, True, False, 'it\\'s', 'say \"hi\"')"],
  [[1.5, 1e22, 1e-7, NaN, -Infinity, 10n ** 20n], '(1.5, 1e+22, 1e-07, nan, -inf, 100000000000000000000)'],
  [[1, [2, [3, [4]]]], '(1, [2, [3, [...]]])'],
  [[{ a: { b: { c: {} } } }], "({'a': {'b': {...}}},)"],
  [[new Set([1]), new Set()], '({1}, set())'],
  [[new TextEncoder().encode('hi'), Uint8Array.of(255, 0)], "(b'hi', b'ff00')"],
  [
    [new Decimal('1.50'), new Uuid('6f1a2b3c4d5e4f608a7b9c0d1e2f3a4b')],
    "(Decimal('1.50'), UUID('6f1a2b3c-4d5e-4f60-8a7b-9c0d1e2f3a4b'))",
  ],
  [
    [new PlainDate('2026-03-04'), new PlainTime('05:06:07.000008')],
    '(datetime.date(2026, 3, 4), datetime.time(5, 6, 7, 8))',
  ],
  [[new Date(0)], '(datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc),)'],
])('%o prints as %s', (args, text) => {
  expect(argsRepr(args)).toBe(text);
});

test('keyword arguments', () => {
  expect(kwargsRepr({})).toBe('{}');
  expect(kwargsRepr({ a: 1, 'b c': [1] })).toBe("{'a': 1, 'b c': [1]}");
});

test('long text is cut at a space, and what follows is left out', () => {
  expect(safeRepr(['aaaa bbbb cccc', 2], { maxLength: 12 })).toBe("['aaaa bbbb...', ...]");
  expect(safeRepr({ key: 'x'.repeat(2000) }).length).toBeLessThan(1050);
  expect(argsRepr(Array.from({ length: 2000 }, (_, i) => i)).length).toBeLessThan(1050);
  expect(argsRepr(['x'.repeat(2000)], Infinity).length).toBe(2005);
});

test('a value that contains itself', () => {
  const loop: unknown[] = [1];
  loop.push(loop);
  expect(safeRepr(loop)).toBe('[1, <Recursion on list with id=0>]');
});

test.each([
  ["it's", '"it\'s"'],
  ['both \' and "', "'both \\' and \"'"],
  ['\n\t\\\u0000é\u2028', "'\\n\\t\\\\\\x00é\\u2028'"],
])('repr of %j', (text, repr) => {
  expect(pyRepr(text)).toBe(repr);
});

test('anything has a text of bounded length', () => {
  fc.assert(
    fc.property(
      fc.anything({
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSet: true,
        withTypedArray: true,
        withSparseArray: true,
      }),
      (value) => {
        expect(safeRepr(value).length).toBeLessThan(1200);
        expect(typeof pyRepr(value)).toBe('string');
      },
    ),
  );
});

test('what throws, contains itself many times, or is huge does not stop it', () => {
  const hostile = {
    get boom(): never {
      throw new Error('no');
    },
  };
  expect(safeRepr([1, hostile])).toBe('[1, {<unrepresentable>');
  expect(pyRepr([1, hostile])).toBe('<unrepresentable>');
  const loop: unknown[] = [];
  for (let i = 0; i < 20; i++) loop.push(loop, [loop]);
  expect(pyRepr(loop).length).toBeLessThan(1000);
  expect(pyRepr(Array.from({ length: 100_000 }, () => 1)).length).toBeLessThan(40_000);
  expect(safeRepr(['😀'.repeat(1_000_000)]).length).toBeLessThan(2100);
});
