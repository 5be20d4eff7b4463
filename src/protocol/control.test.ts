import { expect, test } from 'vitest';
import { DecodeError } from '../errors.ts';
import { createSerializers } from '../serializers/registry.ts';
import { decodeControlReplies, decodeControlRequest, encodeControlReply, encodeControlRequest } from './control.ts';
import { decodeEvents, encodeEvents, eventRoutingKey } from './event.ts';
import type { EncodeBody } from './v2.ts';

const serializers = createSerializers();
const accept = serializers.acceptSet(['json']);
const json: EncodeBody = (value) => serializers.encode(value, 'json');
const text = (message: { body: Uint8Array }): string => Buffer.from(message.body).toString();

test('a request has Kombu’s keys; ticket and reply_to only when a reply is wanted', () => {
  const request = { method: 'ping', arguments: {}, destination: null, clock: 5 };
  const silent = encodeControlRequest(request, json, 0);
  expect(text(silent)).toBe('{"method":"ping","arguments":{},"destination":null,"pattern":null,"matcher":null}');
  expect(silent.headers).toEqual({ clock: 5, expires: 0 });
  const replyTo = { exchange: 'reply.celery.pidbox', routingKey: 'oid' };
  const asking = encodeControlRequest({ ...request, destination: ['w@h'], ticket: 'T', replyTo }, json, 9.5);
  expect(text(asking)).toContain('"ticket":"T","reply_to":{"exchange":"reply.celery.pidbox","routing_key":"oid"}');
  expect(decodeControlRequest(asking, serializers, accept)).toEqual({
    ...request,
    destination: ['w@h'],
    pattern: null,
    matcher: null,
    ticket: 'T',
    replyTo,
  });
});

test('a reply, there and back', () => {
  const message = encodeControlReply({ node: 'w@h', value: { ok: 'pong' }, ticket: 'T', clock: 7 }, json);
  expect(message.headers).toEqual({ ticket: 'T', clock: 7 });
  expect(decodeControlReplies(message, serializers, accept)).toEqual([
    { node: 'w@h', value: { ok: 'pong' }, ticket: 'T', clock: 7, expires: undefined },
  ]);
});

test('events come alone or as a list', () => {
  const event = { type: 'worker-elect-ack', hostname: 'w@h', timestamp: 1.5, clock: 3 };
  expect(eventRoutingKey(event.type)).toBe('worker.elect.ack');
  expect(decodeEvents(encodeEvents(event, 'w@h', json), serializers, accept)).toEqual([event]);
  expect(decodeEvents(encodeEvents([event, event], 'w@h', json), serializers, accept)).toHaveLength(2);
  expect(encodeEvents(event, 'w@h', json).headers).toEqual({ hostname: 'w@h' });
});

test('what is neither is refused', () => {
  for (const value of [null, 1, 'x', {}, [1]]) {
    const message = encodeEvents(value as never, 'h', json);
    expect(() => decodeEvents(message, serializers, accept)).toThrow(DecodeError);
    expect(() => decodeControlRequest(message, serializers, accept)).toThrow(DecodeError);
  }
});
