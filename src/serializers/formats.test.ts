import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CeleryError, ContentDisallowed, DecodeError, EncodeError } from '../errors.ts';
import { createSerializers } from './registry.ts';
import { PlainDate } from './types.ts';

const serializers = createSerializers();
const there = (value: unknown, name: string): unknown => {
  const { body, contentType } = serializers.encode(value, name);
  return serializers.decode(body, contentType);
};
/** Without the keys that YAML merges by and MessagePack's package refuses. */
const json = fc
  .jsonValue()
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown)
  .filter((value) => !/"(?:<<|__proto__)":/.test(JSON.stringify(value)));

describe.each(['yaml', 'msgpack'])('%s', (name) => {
  test('there and back', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(there(value, name)).toEqual(value);
      }),
    );
  });

  test('numbers, bytes and texts that look like something else', () => {
    const bytes = Uint8Array.of(0, 1, 255);
    const values = [2 ** 40, -(2 ** 40), 2n ** 63n, 1e100, -1.5e-7, NaN, Infinity, -Infinity, bytes];
    expect(there(values, name)).toEqual(values);
    const texts = [
      'yes',
      'null',
      '~',
      '=',
      '<<',
      '1:30',
      '0x1F',
      '012',
      '1e3',
      '2026-01-02',
      '',
      ' a',
      '\u2028\n',
      '🎉',
    ];
    expect(there(texts, name)).toEqual(texts);
  });

  test('what cannot be sent is named', () => {
    const round: unknown[] = [];
    round.push(round);
    expect(() => serializers.encode({ a: [undefined] }, name)).toThrow(`cannot serialize as ${name}: $.a[0] is`);
    for (const value of [() => 1, new Map(), Symbol('x'), round]) {
      expect(() => serializers.encode(value, name)).toThrow(EncodeError);
    }
  });

  test('it is read only where it is accepted', () => {
    const { body, contentType } = serializers.encode([1], name);
    expect(() => serializers.decode(body, contentType, serializers.acceptSet(['json']))).toThrow(ContentDisallowed);
    expect(serializers.decode(body, contentType, serializers.acceptSet([name]))).toEqual([1]);
  });

  test('any bytes give a value or a typed error', () => {
    const { contentType } = serializers.encode(1, name);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (body) => {
        try {
          serializers.decode(body, contentType);
        } catch (error) {
          expect(CeleryError.is(error)).toBe(true);
        }
      }),
    );
  });
});

test('yaml keeps days and moments apart, and reads what PyYAML writes', () => {
  const values = [
    new Date(Date.UTC(2026, 0, 2)),
    new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)),
    new PlainDate('2026-01-02'),
  ];
  expect(there(values, 'yaml')).toEqual(values);
  const read = (text: string): unknown => serializers.decode(new TextEncoder().encode(text), 'application/x-yaml');
  expect(read('a: 2026-01-02 03:04:05.678000\nb: 2026-01-02 03:04:05+02:00\nc: 2026-01-02\nd: 1.0e+100\n')).toEqual({
    a: new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)),
    b: new Date(Date.UTC(2026, 0, 2, 1, 4, 5)),
    c: new PlainDate('2026-01-02'),
    d: 1e100,
  });
});

test('yaml aliases cannot blow up', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 12; i++)
    lines.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(', ')}]`);
  const body = new TextEncoder().encode(lines.join('\n'));
  expect(() => serializers.decode(body, 'application/x-yaml')).toThrow(DecodeError);
});

test('msgpack refuses dates and integers beyond 64 bits, as Python does', () => {
  expect(() => serializers.encode([new Date(0)], 'msgpack')).toThrow('$[0] is an instance of Date');
  expect(() => serializers.encode([2n ** 64n], 'msgpack')).toThrow(EncodeError);
});

/** Bodies that Python Celery 5.6 sent. */
function vectorBody(file: string): { readonly contentType: string; readonly body: Buffer } {
  const text = readFileSync(
    new URL(`../../test/vectors/5.6/messages/redis/serializer/${file}.json`, import.meta.url),
    'utf8',
  );
  const { text: stored } = findEnvelope(JSON.parse(text) as unknown);
  const envelope = JSON.parse(stored) as { readonly body: string; readonly 'content-type': string };
  return { contentType: envelope['content-type'], body: Buffer.from(envelope.body, 'base64') };
}

function findEnvelope(value: unknown): { readonly text: string } {
  const found = JSON.stringify(value).match(/"text":("(?:[^"\\]|\\.)*content-type(?:[^"\\]|\\.)*")/);
  return { text: JSON.parse(found?.[1] ?? 'null') as string };
}

test.each(['yaml', 'msgpack'])('what Python sent: %s', (file) => {
  const { contentType, body } = vectorBody(file);
  const value = serializers.decode(body, contentType) as [unknown[], object, object];
  expect(value).toHaveLength(3);
  expect(there(value, file)).toEqual(value);
});
