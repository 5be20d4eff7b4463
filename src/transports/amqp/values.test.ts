import { expect, test } from 'vitest';
import { EncodeError } from '../../errors.ts';
import { fromWire, toTable, toWire } from './values.ts';

test.each([
  [0, 'int'],
  [255, 'int'],
  [-1, 'int'],
  [2 ** 31 - 1, 'int'],
  [-(2 ** 31), 'int'],
  [2 ** 31, 'long'],
  [2 ** 53, 'long'],
  [-(2 ** 31) - 1, 'double'],
  [2 ** 63, 'double'],
  [1.5, 'double'],
  [NaN, 'double'],
  [-0, 'double'],
  [5n, 'int'],
  [2n ** 62n, 'long'],
  [-(2n ** 40n), 'long'],
])('%s is written as %s', (value, tag) => {
  expect(toWire(value)).toMatchObject({ '!': tag });
});

test('tables go there and back', () => {
  const when = new Date('2026-01-02T03:04:05Z');
  const wire = toTable({ text: 'ü', list: [true, null, { when }], bytes: Uint8Array.of(1, 2) });
  expect(wire['list']).toEqual([true, null, { when: { '!': 'timestamp', value: when.getTime() / 1000 } }]);
  expect(fromWire(wire)).toEqual({ text: 'ü', list: [true, null, { when }], bytes: Buffer.of(1, 2) });
  expect(fromWire({ price: { '!': 'decimal', value: { digits: 125, places: 2 } } })).toEqual({ price: 1.25 });
});

test('what AMQP has not is refused with its path', () => {
  expect(() => toTable({ a: [{ b: () => 1 }] })).toThrow(
    new EncodeError('headers.a[0].b: a function cannot be a header'),
  );
  expect(() => toTable({ a: 2n ** 64n })).toThrow(/headers\.a: .* does not fit into 64 bits/);
});
