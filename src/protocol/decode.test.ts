import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CeleryError, ContentDisallowed, DecodeError, EncodeError, InvalidTaskError } from '../errors.ts';
import { compress } from '../serializers/compression.ts';
import { createSerializers } from '../serializers/registry.ts';
import { decodeControlReplies, decodeControlRequest } from './control.ts';
import { classify, decodeBody, decodeHeaders, decodeV1, decompressMessage } from './decode.ts';
import { decodeEvents } from './event.ts';
import type { Message } from './message.ts';
import type { TaskBody, TaskHeaders } from './task-message.ts';
import { encodeTaskV1 } from './v1.ts';
import { encodeTaskV2, NO_EMBED, type EncodeBody } from './v2.ts';

const serializers = createSerializers();
const accept = serializers.acceptSet(['json']);
const json: EncodeBody = (value) => serializers.encode(value, 'json');

const HEADERS: TaskHeaders = {
  lang: 'js',
  task: 'proj.add',
  id: 'id-1',
  shadow: null,
  eta: null,
  expires: null,
  group: 'g',
  group_index: 2,
  retries: 1,
  timelimit: [9, 8],
  root_id: 'id-0',
  parent_id: null,
  argsrepr: '(1, 2)',
  kwargsrepr: '{}',
  origin: 'gen1@host',
  ignore_result: false,
  replaced_task_nesting: 0,
  stamped_headers: null,
  stamps: {},
  'x-own': 7,
};
const BODY: TaskBody = { args: [1, 2], kwargs: { a: 1 }, embed: NO_EMBED };

function message(body: unknown, headers: Record<string, unknown> = { task: 't', id: 'i' }): Message {
  const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  return { body: bytes, contentType: 'application/json', contentEncoding: 'utf-8', headers, properties: {} };
}

const read = (body: unknown): TaskBody => decodeBody(message(body), serializers, accept);

test('protocol 2, there and back', () => {
  const sent = encodeTaskV2(HEADERS, BODY, json, { replyTo: 'r' });
  expect(sent.properties).toEqual({ correlationId: 'id-1', replyTo: 'r' });
  expect(Buffer.from(sent.body).toString()).toBe(
    '[[1,2],{"a":1},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]',
  );
  expect(classify(sent)).toBe('v2');
  expect(decodeHeaders(sent)).toBe(sent.headers);
  expect(decodeBody(sent, serializers, accept)).toEqual(BODY);
});

test('headers that older producers do not send are filled in', () => {
  const headers = decodeHeaders(message([], { task: 't', id: 'i', lang: 'py', custom: 1 }));
  expect(headers).toMatchObject({ retries: 0, timelimit: [null, null], ignore_result: null, stamps: {}, custom: 1 });
  expect(decodeHeaders(message([], { task: 't', id: 'i', retries: null, timelimit: null, argsrepr: 5 }))).toMatchObject(
    {
      retries: 0,
      timelimit: [null, null],
      argsrepr: '',
    },
  );
});

test.each([
  [{ task: 't' }, 'id'],
  [{ task: 't', id: null }, 'id'],
  [{ task: 't', id: '' }, 'id'],
  [{ task: 7, id: 'i' }, 'task'],
  [{ task: 't', id: 'i', eta: 5 }, 'eta'],
  [{ task: 't', id: 'i', timelimit: [1] }, 'timelimit'],
  [{ task: 't', id: 'i', timelimit: 'x' }, 'timelimit'],
  [{ task: 't', id: 'i', retries: 'many' }, 'retries'],
  [{ task: 't', id: 'i', retries: -1 }, 'retries'],
  [{ task: 't', id: 'i', stamped_headers: 'x' }, 'stamped_headers'],
  [{ task: 't', id: 'i', group_index: 'x' }, 'group_index'],
])('headers %j are refused', (headers, name) => {
  expect(() => decodeHeaders(message([], headers))).toThrow(InvalidTaskError);
  expect(() => decodeHeaders(message([], headers))).toThrow(`header "${name}": expected`);
});

test.each([null, {}, { unknown: 1 }, { chain: [] }])('an embed of %j is accepted', (embed) => {
  expect(read([[1], {}, embed]).embed).toMatchObject({ callbacks: null, errbacks: null, chord: null });
});

test.each([
  ['two elements', [[], {}]],
  ['an object without args', { kwargs: {} }],
  ['text', 'x'],
  ['args that are text', ['abc', {}, null]],
  ['args that are an object', [{}, {}, null]],
  ['kwargs that are a list', [[], [], null]],
  ['callbacks that are an object', [[], {}, { callbacks: {} }]],
  ['a chord that is a list', [[], {}, { chord: [] }]],
])('a body of %s is refused', (_, body) => {
  expect(() => decodeBody(message(JSON.stringify(body)), serializers, accept)).toThrow(InvalidTaskError);
});

test('bodies that cannot be read, or may not be', () => {
  expect(() => read('{"broken')).toThrow(DecodeError);
  expect(() => read('')).toThrow(DecodeError);
  const pickled = { ...message(''), contentType: 'application/x-python-serialize' };
  expect(() => decodeBody(pickled, serializers, accept)).toThrow(ContentDisallowed);
  const untyped = { ...message('[[],{},null]'), contentType: '' };
  expect(() => decodeBody(untyped, serializers, accept)).toThrow(InvalidTaskError);
  const odd = message('[[],{},null]', { task: 't', id: 'i', compression: 'application/odd' });
  expect(() => decodeBody(odd, serializers, accept)).toThrow(DecodeError);
});

test('compressed bodies', async () => {
  for (const name of ['gzip', 'bzip2', 'lzma', 'zstd']) {
    const plain = encodeTaskV2(HEADERS, BODY, json, {});
    const body = await compress(plain.body, name);
    const sent = { ...plain, body, headers: { ...HEADERS, compression: name } };
    const received = await decompressMessage(sent);
    expect(received.headers).not.toHaveProperty('compression');
    expect(decodeBody(received, serializers, accept)).toEqual(BODY);
    if (name === 'gzip') expect(decodeBody(sent, serializers, accept)).toEqual(BODY);
    if (name === 'gzip') expect(() => decodeBody(sent, serializers, accept, 10)).toThrow(/larger than 10 bytes/);
    if (name === 'lzma') expect(() => decodeBody(sent, serializers, accept)).toThrow(/decompressMessage/);
  }
});

test('the compression header holds the MIME type', () => {
  const sent = encodeTaskV2(HEADERS, BODY, (value) => ({ ...json(value), compression: 'application/x-gzip' }), {});
  expect(sent.headers['compression']).toBe('application/x-gzip');
});

test('an argument that cannot be sent is named', () => {
  const send = (body: Partial<TaskBody>) => (): Message => encodeTaskV2(HEADERS, { ...BODY, ...body }, json, {});
  expect(send({ args: [1, { when: undefined }] })).toThrow('cannot serialize args[1].when: undefined');
  expect(send({ kwargs: { m: new Map() } })).toThrow('cannot serialize kwargs.m: ');
  expect(send({ args: [() => 1] })).toThrow(EncodeError);
});

test('protocol 1, there and back', () => {
  const sent = encodeTaskV1(HEADERS, BODY, json, {});
  expect(sent.headers).toEqual({ 'x-own': 7 });
  expect(classify(sent)).toBe('other');
  const { headers, body } = decodeV1(sent, serializers, accept);
  expect(body).toEqual(BODY);
  expect(headers).toMatchObject({
    task: 'proj.add',
    id: 'id-1',
    group: 'g',
    group_index: 2,
    retries: 1,
    timelimit: [9, 8],
    'x-own': 7,
  });
  expect(headers.argsrepr).toBe('(1, 2)');
});

test('what gocelery and celery.node send', () => {
  const text = '{"id":"i","task":"worker.add","args":[1,2],"kwargs":{},"retries":0,"eta":"2026-11-22T00:00:00Z"}';
  expect(decodeV1(message(text, {}), serializers, accept).headers).toMatchObject({
    task: 'worker.add',
    timelimit: [null, null],
  });
  expect(read('[[1,2],{},{}]')).toEqual({ args: [1, 2], kwargs: {}, embed: NO_EMBED });
});

test('a hybrid: headers win over the body', () => {
  const hybrid = message({
    task: 'old',
    id: 'body-id',
    args: [1],
    kwargs: {},
    retries: 3,
    callbacks: [{ task: 'cb' }],
  });
  expect(classify(hybrid)).toBe('v2');
  expect(decodeBody(hybrid, serializers, accept)).toMatchObject({
    args: [1],
    embed: { callbacks: [{ task: 'cb' }], chain: null },
  });
  expect(decodeV1(hybrid, serializers, accept).headers).toMatchObject({ task: 't', id: 'i', retries: 3 });
});

test.each([
  ['no task', { id: 'i' }],
  ['no id', { task: 't' }],
  ['a list', [1]],
  ['kwargs that are a list', { task: 't', id: 'i', kwargs: [] }],
  ['args that are text', { task: 't', id: 'i', args: 'ab' }],
])('protocol 1 with %s is refused', (_, body) => {
  expect(() => decodeV1(message(body, {}), serializers, accept)).toThrow(InvalidTaskError);
});

test('any body gives a control request, replies and events, or a typed error', () => {
  const names = [
    'method',
    'arguments',
    'destination',
    'pattern',
    'matcher',
    'ticket',
    'reply_to',
    'clock',
    'type',
    'sw_ver',
  ];
  const some = fc.dictionary(fc.constantFrom(...names, 'hostname', 'timestamp', '__proto__'), fc.jsonValue());
  const value = fc.oneof(
    some,
    some.map((rest) => ({ ...rest, method: 'ping', type: 'task-sent' })),
    fc.array(some),
  );
  const body = fc.oneof(
    fc.uint8Array(),
    value.map((one) => Buffer.from(JSON.stringify(one))),
  );
  fc.assert(
    fc.property(body, fc.constantFrom('application/json', 'x/y'), (bytes, contentType) => {
      const received: Message = { body: bytes, contentType, contentEncoding: 'utf-8', headers: {}, properties: {} };
      for (const decode of [decodeControlRequest, decodeControlReplies, decodeEvents]) {
        try {
          decode(received, serializers, accept);
        } catch (error) {
          expect(CeleryError.is(error)).toBe(true);
        }
      }
    }),
    { numRuns: 1000 },
  );
});

test('any headers and any body give a task or a typed error', () => {
  const body = fc.oneof(
    fc.uint8Array(),
    fc.json().map((text) => Buffer.from(text)),
    fc.tuple(fc.jsonValue(), fc.jsonValue(), fc.jsonValue()).map((value) => Buffer.from(JSON.stringify(value))),
  );
  const names = [...Object.keys(HEADERS), 'compression', '__proto__'];
  const headers = fc.oneof(
    fc.dictionary(fc.constantFrom(...names), fc.anything()),
    fc.dictionary(fc.constantFrom(...names), fc.jsonValue()).map((some) => ({ ...some, task: 't', id: 'i' })),
  );
  fc.assert(
    fc.property(
      body,
      headers,
      fc.constantFrom('application/json', '', 'x/y', 'application/data'),
      (bytes, some, contentType) => {
        const received: Message = { body: bytes, contentType, contentEncoding: 'utf-8', headers: some, properties: {} };
        for (const decode of [
          () => decodeHeaders(received),
          () => decodeBody(received, serializers, accept),
          () => decodeV1(received, serializers, accept),
        ]) {
          try {
            decode();
          } catch (error) {
            expect(CeleryError.is(error)).toBe(true);
          }
        }
      },
    ),
    { numRuns: 1000 },
  );
});
