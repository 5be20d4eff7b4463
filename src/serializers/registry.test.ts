import { expect, test } from 'vitest';
import { ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured } from '../errors.ts';
import { createSerializers } from './registry.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('json has Celery’s names', () => {
  const encoded = createSerializers().encode([1], 'json');
  expect([encoded.contentType, encoded.contentEncoding]).toEqual(['application/json', 'utf-8']);
  expect(Buffer.from(encoded.body).toString()).toBe('[1]');
});

test('what is not accepted is not decoded', () => {
  const serializers = createSerializers();
  const accept = serializers.acceptSet(['json']);
  expect(serializers.decode(bytes('[1]'), 'application/json', accept)).toEqual([1]);
  expect(() => serializers.decode(bytes('x'), 'application/x-python-serialize', accept)).toThrow(ContentDisallowed);
  expect(() => serializers.decode(bytes('x'), 'text/plain', accept)).toThrow(
    'Refusing to deserialize untrusted content of type text/plain (text/plain)',
  );
  expect(() => serializers.decode(bytes('[1]'), 'application/json', new Set())).toThrow(
    'Refusing to deserialize untrusted content of type json (application/json)',
  );
});

test('raw content passes through as text, or as bytes when binary', () => {
  const serializers = createSerializers();
  const accept = serializers.acceptSet(['json']);
  expect(serializers.decode(bytes('hé'), '', accept)).toBe('hé');
  expect(serializers.decode(bytes('x'), 'application/data', accept, 'binary')).toEqual(bytes('x'));
});

test('names may be MIME types; unknown names say what there is', () => {
  const serializers = createSerializers();
  expect([...serializers.acceptSet(['json', 'application/x-yaml'])]).toEqual([
    'application/json',
    'application/x-yaml',
  ]);
  expect(() => serializers.acceptSet(['yml'])).toThrow(/no serializer "yml": expected one of json/);
  expect(() => serializers.encode(1, 'yml')).toThrow(ImproperlyConfigured);
});

test('errors of a serializer of the application are typed', () => {
  const serializers = createSerializers();
  const fail = (): never => {
    throw new RangeError('no');
  };
  serializers.register({ name: 'own', contentType: 'a/own', contentEncoding: 'binary', encode: fail, decode: fail });
  expect(serializers.names).toContain('own');
  expect(() => serializers.encode(1, 'own')).toThrow(EncodeError);
  expect(() => serializers.decode(bytes(''), 'a/own')).toThrow(DecodeError);
});

test('types registered with the registry belong to this registry alone', () => {
  const serializers = createSerializers();
  serializers.registerType({
    name: 'pattern',
    matches: (value) => value instanceof RegExp,
    encode: (value) => (value as RegExp).source,
    decode: (value) => new RegExp(String(value)),
  });
  const { body, contentType } = serializers.encode([/a+/], 'json');
  expect(serializers.decode(body, contentType)).toEqual([/a+/]);
  expect(() => createSerializers().decode(body, contentType)).toThrow(/unsupported "__type__" "pattern"/);
});
