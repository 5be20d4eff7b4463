import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ResultRecord } from '../backends/backend.ts';
import { CeleryError, ContentDisallowed, DecodeError } from '../errors.ts';
import { createSerializers } from '../serializers/registry.ts';
import { PlainDate } from '../serializers/types.ts';
import { decodeResult, encodeResult, JSON_RESULTS, resultCodec, type ResultTuple } from './result.ts';

const RECORD: ResultRecord = {
  taskId: 'ID',
  status: 'SUCCESS',
  result: { é: [1, 2.5] },
  traceback: null,
  children: [[['A', null], null]],
  dateDone: '2026-11-22T05:27:56.457546+00:00',
};

test('a result in Python’s bytes', () => {
  expect(encodeResult(RECORD)).toBe(
    '{"status": "SUCCESS", "result": {"\\u00e9": [1, 2.5]}, "traceback": null, "children": [[["A", null], null]], ' +
      '"date_done": "2026-11-22T05:27:56.457546+00:00", "task_id": "ID"}',
  );
});

test('group, parent and extended fields come in Python’s order', () => {
  const extended = {
    name: 'n',
    args: [1],
    kwargs: {},
    worker: 'w@h',
    retries: 0,
    queue: 'celery',
    stamps: { by: 'me' },
  };
  const record: ResultRecord = { ...RECORD, groupId: 'G', parentId: 'P', extended };
  const keys = Object.keys(JSON.parse(encodeResult(record)) as object);
  expect(keys.slice(5)).toEqual([
    'group_id',
    'parent_id',
    'name',
    'args',
    'kwargs',
    'worker',
    'retries',
    'queue',
    'stamped_headers',
    'by',
    'task_id',
  ]);
  expect(decodeResult(encodeResult(record))).toEqual(record);
});

test('values with types of their own come back as they went', () => {
  const result = { at: new Date(5), big: 2n ** 70n, bytes: Uint8Array.of(255), nan: NaN };
  expect(decodeResult(encodeResult({ ...RECORD, result }))).toEqual({ ...RECORD, result });
});

test('a stamp cannot overwrite a field', () => {
  const extended = { name: 'n', args: [], kwargs: {}, worker: null, retries: 0, queue: null, stamps: { status: 'x' } };
  expect(decodeResult(encodeResult({ ...RECORD, extended })).status).toBe('SUCCESS');
});

test('children of null are none; the id may come from the key', () => {
  const text = '{"status": "REVOKED", "result": null, "children": null}';
  expect(decodeResult(text, 'K')).toMatchObject({ taskId: 'K', children: [], dateDone: null });
  expect(() => decodeResult(text)).toThrow(DecodeError);
});

test('any bytes give a record or a typed error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        decodeResult(text, 'id');
      } catch (error) {
        expect(CeleryError.is(error)).toBe(true);
      }
    }),
  );
});

describe.each(['json', 'yaml'])('results as %s', (name) => {
  const record = { taskId: 'id', status: 'SUCCESS', traceback: null, children: [], dateDone: null };

  test('there and back, types of the application included', () => {
    const serializers = createSerializers();
    const codec = resultCodec(serializers, name, [name]);
    const value = { list: [1, 'yes', null], day: new PlainDate('2026-01-02'), at: new Date(1_767_323_045_678) };
    expect(codec.decode(codec.encode({ ...record, result: value }))).toEqual({ ...record, result: value });
  });

  test('what is not accepted is not read', () => {
    const codec = resultCodec(createSerializers(), name, [name === 'json' ? 'yaml' : 'json']);
    expect(() => codec.decode(codec.encode({ ...record, result: 1 }))).toThrow(ContentDisallowed);
  });
});

test('a result may be of a type that the application registered', () => {
  const serializers = createSerializers();
  const codec = resultCodec(serializers, 'json', ['json']);
  serializers.registerType({
    name: 'pattern',
    matches: (value) => value instanceof RegExp,
    encode: (value) => (value as RegExp).source,
    decode: (value) => new RegExp(String(value)),
  });
  const record = { taskId: 'id', status: 'SUCCESS', result: /a+/, traceback: null, children: [], dateDone: null };
  expect(codec.decode(codec.encode(record)).result).toEqual(/a+/);
});

test('results in MessagePack are bytes', () => {
  const codec = resultCodec(createSerializers(), 'msgpack', ['msgpack']);
  const record = { taskId: 'id', status: 'SUCCESS', traceback: null, children: [], dateDone: null };
  const stored = codec.encode({ ...record, result: [1, 'ü', Uint8Array.of(0, 255)] });
  expect([codec.binary, Buffer.isBuffer(stored)]).toEqual([true, true]);
  expect(codec.decode(stored).result).toEqual([1, 'ü', Uint8Array.of(0, 255)]);
  expect(() => resultCodec(createSerializers(), 'msgpack', ['json']).decode(stored)).toThrow(ContentDisallowed);
});

test('groups are written as the results are', () => {
  const group: ResultTuple = [
    ['g', null],
    [
      [['a', null], null],
      [['b', null], null],
    ],
  ];
  const yaml = resultCodec(createSerializers(), 'yaml', ['yaml']);
  const text = yaml.encodeGroup(group);
  expect(text).toMatch(/^"?result"?:/);
  expect(yaml.decodeGroup(text)).toEqual(group);
  expect(JSON_RESULTS.encodeGroup(group)).toBe('{"result": [["g", null], [[["a", null], null], [["b", null], null]]]}');
  expect(JSON_RESULTS.decodeGroup(JSON_RESULTS.encodeGroup(group))).toEqual(group);
});
