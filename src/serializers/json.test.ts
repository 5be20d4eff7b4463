import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CeleryError, DecodeError, EncodeError } from '../errors.ts';
import { dumps, loads, pythonJson } from './json.ts';
import { JsonTypes } from './json-types.ts';
import { Decimal, PlainDate, PlainTime, Uuid } from './types.ts';

test('ordinary values go as JSON.stringify writes them', () => {
  const value = { a: [1, 1.5, true, null, 'é"\n'], 'b c': {} };
  expect(dumps(value)).toBe(JSON.stringify(value));
  expect(loads(dumps(value))).toEqual(value);
});

test('Python formatting: spaces after separators, ASCII only', () => {
  expect(pythonJson({ a: [1, 2], é: '\u007f😀' })).toBe('{"a": [1, 2], "\\u00e9": "\\u007f\\ud83d\\ude00"}');
  expect(pythonJson([1, 'id', 'SUCCESS', 3])).toBe('[1, "id", "SUCCESS", 3]');
});

test.each([
  [1e-7, '1e-07'],
  [0.00001, '1e-05'],
  [0.0001, '0.0001'],
  [1e16, '1e+16'],
  [1e22, '1e+22'],
  [2 ** 53 - 1, '9007199254740991'],
  [-0, '-0.0'],
  [1.5e300, '1.5e+300'],
  [NaN, 'NaN'],
  [Infinity, 'Infinity'],
  [-Infinity, '-Infinity'],
])('the number %s is written %s', (value, text) => {
  expect(pythonJson(value)).toBe(text);
  expect(loads(text)).toBe(value);
});

test.each([
  ['an integer beyond 2^53', '9007199254740993', 9007199254740993n],
  ['one that a double could hold', '18446744073709551616', 18446744073709551616n],
  ['a negative one', '[-9223372036854775808]', [-9223372036854775808n]],
  ['digits in text', '"12345678901234567890"', '12345678901234567890'],
  ['digits after the point', '0.30000000000000004', 0.1 + 0.2],
  ['a huge float', '1e400', Infinity],
])('%s arrives intact', (_, text, value) => {
  expect(loads(text)).toEqual(value);
});

test('bigint is written as the integer it is', () => {
  expect(dumps({ n: 2n ** 63n, small: 1n })).toBe('{"n":9223372036854775808,"small":1}');
});

test.each([
  [
    new Uuid('6f1a2b3c4d5e4f608a7b9c0d1e2f3a4b'),
    '{"__type__":"uuid","__value__":{"hex":"6f1a2b3c4d5e4f608a7b9c0d1e2f3a4b"}}',
  ],
  [new Decimal('1.10'), '{"__type__":"decimal","__value__":"1.10"}'],
  [new PlainDate('2026-03-04'), '{"__type__":"date","__value__":"2026-03-04"}'],
  [new PlainTime('05:06:07.000008'), '{"__type__":"time","__value__":"05:06:07.000008"}'],
  [
    new Date(Date.UTC(2026, 2, 4, 5, 6, 7, 890)),
    '{"__type__":"datetime","__value__":"2026-03-04T05:06:07.890000+00:00"}',
  ],
  [new TextEncoder().encode('text'), '{"__type__":"bytes","__value__":"text"}'],
  [Uint8Array.of(0, 255, 254), '{"__type__":"base64","__value__":"AP/+"}'],
])('%s has a type tag', (value, text) => {
  expect(dumps(value)).toBe(text);
  expect(loads(text)).toEqual(value);
  expect(dumps(loads(text))).toBe(text);
});

test.each(['2026-03-04T05:06:07.890123+00:00', '2026-03-04T05:06:07', '2026-03-04T05:06:07+02:00'])(
  'the datetime %s is passed on unchanged',
  (iso) => {
    const text = `{"__type__":"datetime","__value__":"${iso}"}`;
    const date = loads(text) as Date;
    expect(date).toBeInstanceOf(Date);
    expect(dumps({ date })).toBe(`{"date":${text}}`);
    date.setUTCFullYear(2027);
    expect(dumps(date)).toContain('"2027-03-04T');
  },
);

test('a datetime without an offset is UTC', () => {
  expect((loads('{"__type__":"datetime","__value__":"2026-03-04T05:06:07"}') as Date).toISOString()).toBe(
    '2026-03-04T05:06:07.000Z',
  );
});

test('only objects of exactly the two keys are unwrapped', () => {
  expect(loads('{"__type__":"uuid","__value__":"x","more":1}')).toEqual({ __type__: 'uuid', __value__: 'x', more: 1 });
  expect(loads('{"__type__":"uuid"}')).toEqual({ __type__: 'uuid' });
});

test.each([
  '{"__type__":"os.system","__value__":"ls"}',
  '{"__type__":"__proto__","__value__":1}',
  '{"__type__":7,"__value__":1}',
  '{"__type__":"uuid","__value__":{"hex":"no"}}',
  '{"__type__":"datetime","__value__":"yesterday"}',
  '{"__type__":"decimal","__value__":"1,5"}',
])('%s is refused', (text) => {
  expect(() => loads(text)).toThrow(DecodeError);
});

test.each([
  ['undefined', [{ name: undefined }], '$[0].name'],
  ['undefined in a list', [[undefined]], '$[0][0]'],
  ['a hole in a list', { list: Object.assign([], { length: 1 }) }, '$.list[0]'],
  ['a function', { f: () => 1 }, '$.f'],
  ['a symbol', [Symbol('s')], '$[0]'],
  ['a Map', { 'the map': new Map() }, '$["the map"]'],
  ['a Set', [1, new Set()], '$[1]'],
  ['an error', [new Error('x')], '$[0]'],
  ['an invalid date', [new Date(NaN)], '$[0]'],
  ['user data that looks like a tag', { a: { __type__: 'uuid', __value__: 1 } }, '$.a'],
])('%s is refused with its path', (_, value, path) => {
  expect(() => dumps(value)).toThrow(EncodeError);
  expect(() => dumps(value)).toThrow(`cannot serialize ${path}: `);
});

test('a value that contains itself is refused', () => {
  const loop: unknown[] = [];
  loop.push(loop);
  expect(() => dumps(loop)).toThrow(/nested deeper than 900 levels, or contains itself/);
});

test('toJSON is asked', () => {
  class Money {
    toJSON(): unknown {
      return { amount: 5, when: new Date(0) };
    }
  }
  expect(loads(dumps([new Money()]))).toEqual([{ amount: 5, when: new Date(0) }]);
});

test('a type of the application goes both ways', () => {
  class Point {
    readonly x: number;
    constructor(x: number) {
      this.x = x;
    }
  }
  const types = new JsonTypes();
  types.register({
    name: 'point',
    matches: (value) => value instanceof Point,
    encode: (value) => (value as Point).x,
    decode: (value) => new Point(Number(value)),
  });
  expect(dumps([new Point(3)], types)).toBe('[{"__type__":"point","__value__":3}]');
  expect(loads('[{"__type__":"point","__value__":3}]', types)).toEqual([new Point(3)]);
  expect(() => types.register({ name: 'uuid', matches: () => false, encode: String, decode: String })).toThrow(
    /built in/,
  );
});

test('keys named __proto__ are keys', () => {
  for (const text of ['{"__proto__":{"polluted":1}}', '{"__proto__":{"polluted":1},"n":NaN}']) {
    const value = loads(text) as object;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.keys(value)).toContain('__proto__');
    expect(dumps(value)).toBe(text);
  }
});

test('of equal keys the last wins', () => {
  expect(loads('{"a":1,"a":2}')).toEqual({ a: 2 });
  expect(loads('{"a":NaN,"a":2}')).toEqual({ a: 2 });
});

test.each(['', '{', '[1,]', '{"a" 1}', '"\u0001"', 'nul', '01', '1 2', '\ufeff1', "{'a':1}", '[NaN', '"\\x"', '-'])(
  'broken text %j is refused and says where',
  (text) => {
    expect(() => loads(text)).toThrow(/^invalid JSON/);
  },
);

test('bytes that are not UTF-8 are refused', () => {
  expect(() => loads(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(DecodeError);
});

test('deep nesting and endless digits end in an error, not in a crash', () => {
  expect(() => loads(`${'['.repeat(100_000)}NaN`)).toThrow(/nested deeper/);
  expect(() => loads(`{"a":${'9'.repeat(5000)}}`)).toThrow(/more than 4300 digits/);
});

const wireValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.integer(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 80n }),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array(),
    fc.date({ noInvalidDate: true, min: new Date('0001-01-01'), max: new Date('9999-12-31') }),
    fc.uuid().map((text) => new Uuid(text)),
    fc.array(tie('value')),
    fc
      .dictionary(fc.string(), tie('value'), { noNullPrototype: true })
      .filter((object) => !('__type__' in object && '__value__' in object)),
  ),
})).value;

test('what is written is read back, in both formats', () => {
  fc.assert(
    fc.property(wireValue, (value) => {
      expect(loads(dumps(value))).toEqual(value);
      expect(loads(pythonJson(value))).toEqual(value);
    }),
  );
});

test('both parsers read ordinary JSON alike', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      // Integers beyond 2^53 are the one thing that JSON.parse reads otherwise.
      fc.pre(!/\d{16}/.test(text));
      expect(loads(`[${text},NaN]`)).toEqual([JSON.parse(text), NaN]);
    }),
  );
});

test('any bytes give a value or a typed error', () => {
  const text = fc.string({
    unit: fc.constantFrom(...'{}[]",:\\0123456789eE+-.NaNInfinitytruefalsnu \n'.split('')),
    maxLength: 60,
  });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        text.map((one) => new TextEncoder().encode(one)),
      ),
      (bytes) => {
        try {
          loads(bytes);
        } catch (error) {
          expect(CeleryError.is(error)).toBe(true);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test('a long integer is found wherever it stands', () => {
  for (let before = 0; before < 40; before++) {
    const spaces = ' '.repeat(before);
    expect(loads(`${spaces}[9007199254740993]`)).toEqual([9007199254740993n]);
    expect(loads(`${spaces}[123456789012345]`)).toEqual([123456789012345]);
    expect(loads(`${spaces}[${'1'.repeat(30)},2]`)).toEqual([BigInt('1'.repeat(30)), 2]);
  }
});
