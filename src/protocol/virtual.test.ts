import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CeleryError, DecodeError } from '../errors.ts';
import type { Message } from './message.ts';
import { decodeEnvelope, encodeEnvelope } from './virtual.ts';

const MESSAGE: Message = {
  body: Buffer.from('[1]'),
  contentType: 'application/json',
  contentEncoding: 'utf-8',
  headers: { task: 't', nested: { a: [1, null] } },
  properties: { correlationId: 'c', replyTo: 'r', deliveryMode: 2, priority: 5, expiration: '3500' },
};
const TO = { exchange: 'qx', routingKey: 'rk', deliveryTag: '7247f743-2a96-45cb-8c55-b846d04eba94' };

test('an envelope has Kombu’s keys in its order', () => {
  expect(encodeEnvelope(MESSAGE, TO)).toBe(
    '{"body":"WzFd","content-encoding":"utf-8","content-type":"application/json",' +
      '"headers":{"task":"t","nested":{"a":[1,null]}},"properties":{"correlation_id":"c","reply_to":"r",' +
      '"delivery_mode":2,"expiration":"3500","delivery_info":{"exchange":"qx","routing_key":"rk"},"priority":5,' +
      '"body_encoding":"base64","delivery_tag":"7247f743-2a96-45cb-8c55-b846d04eba94"}}',
  );
});

test('there and back', () => {
  expect(decodeEnvelope(encodeEnvelope(MESSAGE, TO))).toEqual({ message: MESSAGE, ...TO, redelivered: false });
});

function envelope(change: Record<string, unknown>, properties: Record<string, unknown> = {}): string {
  const base = { body: 'WzFd', 'content-encoding': 'utf-8', 'content-type': 'application/json', headers: {} };
  const info = { delivery_info: { exchange: '', routing_key: 'q' }, delivery_tag: 't', body_encoding: 'base64' };
  return JSON.stringify({ ...base, properties: { ...info, ...properties }, ...change });
}

test.each([
  ['utf-8', { body: '[1]' }, { body_encoding: 'utf-8' }],
  ['none', { body: '[1]' }, { body_encoding: null }],
  ['a tagged value', { body: { __type__: 'bytes', __value__: '[1]' } }, { body_encoding: null }],
  ['base64', {}, {}],
])('a body stored with %s', (_, change, properties) => {
  expect(Buffer.from(decodeEnvelope(envelope(change, properties)).message.body).toString()).toBe('[1]');
});

test('what Kombu adds, and what older ones wrote', () => {
  expect(decodeEnvelope(envelope({ redelivered: true })).redelivered).toBe(true);
  const restored = { delivery_info: { exchange: '', routing_key: 'q', redelivered: true, priority: 4 } };
  expect(decodeEnvelope(envelope({}, restored))).toMatchObject({
    redelivered: true,
    message: { properties: { priority: 4 } },
  });
  expect(decodeEnvelope(envelope({}, { delivery_tag: 17 })).deliveryTag).toBe('17');
  expect(decodeEnvelope(envelope({}, { priority: '3' })).message.properties.priority).toBe(3);
  expect(decodeEnvelope(envelope({ headers: null })).message.headers).toEqual({});
  expect(decodeEnvelope(envelope({ body: undefined })).message.body.length).toBe(0);
});

test('properties of other names are carried along', () => {
  const text = envelope({}, { queue_hint: 'x', deadline: 9 });
  const { message } = decodeEnvelope(text);
  expect(message.properties.extra).toEqual({ queue_hint: 'x', deadline: 9 });
  expect(JSON.parse(encodeEnvelope(message, TO))).toMatchObject({ properties: { queue_hint: 'x', deadline: 9 } });
});

test.each([
  '',
  '[]',
  'null',
  '{}',
  '{"properties":{}}',
  '{"properties":[]}',
  '{"body"',
  envelope({ headers: 'x' }),
  envelope({ body: 5 }),
])('%s is refused', (text) => {
  expect(() => decodeEnvelope(text)).toThrow(DecodeError);
});

test('any message survives; any text gives an envelope or a typed error', () => {
  fc.assert(
    fc.property(
      fc.uint8Array(),
      fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }),
      fc.string(),
      (body, headers, key) => {
        const safe = JSON.parse(JSON.stringify(headers).replaceAll('__type__', 'type').replaceAll('-0', '0')) as Record<
          string,
          unknown
        >;
        const message = { ...MESSAGE, body, headers: safe };
        const again = decodeEnvelope(encodeEnvelope(message, { ...TO, routingKey: key }));
        expect(again.routingKey).toBe(key);
        expect(Buffer.from(again.message.body)).toEqual(Buffer.from(body));
        expect(again.message.headers).toEqual(safe);
      },
    ),
  );
  const values = fc.dictionary(
    fc.constantFrom('body', 'headers', 'properties', 'delivery_tag', 'delivery_info'),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        values.map((value) => JSON.stringify({ properties: value, ...value })),
      ),
      (text) => {
        try {
          decodeEnvelope(text);
        } catch (error) {
          expect(CeleryError.is(error)).toBe(true);
        }
      },
    ),
  );
});
