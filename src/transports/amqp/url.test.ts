import { expect, test } from 'vitest';
import { ImproperlyConfigured } from '../../errors.ts';
import { parseAmqpUrl } from './url.ts';

const parse = (url: string, unknown: string[] = []) => parseAmqpUrl(url, undefined, (name) => unknown.push(name));

test.each([
  ['amqp://', '127.0.0.1', 5672, 'guest', 'guest', '/'],
  ['amqp', '127.0.0.1', 5672, 'guest', 'guest', '/'],
  ['amqp://h', 'h', 5672, 'guest', 'guest', '/'],
  ['amqp://h/', 'h', 5672, 'guest', 'guest', '/'],
  ['amqp://h//', 'h', 5672, 'guest', 'guest', '/'],
  ['amqp://h/%2F', 'h', 5672, 'guest', 'guest', '/'],
  ['amqp://h/foo', 'h', 5672, 'guest', 'guest', 'foo'],
  ['amqp://h//foo', 'h', 5672, 'guest', 'guest', '/foo'],
  ['pyamqp://u@h:1234/v%2Fw', 'h', 1234, 'u', '', 'v/w'],
  ['amqps://u%40x:p%3A%2F@[::1]/', '::1', 5671, 'u@x', 'p:/', '/'],
])('%s', (url, host, port, username, password, vhost) => {
  expect(parse(url)).toMatchObject({ host, port, username, password, vhost });
});

test('the query: options, TLS, and what is unknown', () => {
  const unknown: string[] = [];
  const address = parse('amqp://h/?heartbeat=7&connection_timeout=3&ssl=true&ssl_cert_reqs=none&colour=red', unknown);
  expect(address).toMatchObject({
    port: 5671,
    options: { heartbeat: '7', connect_timeout: '3' },
    tls: { servername: 'h', rejectUnauthorized: false },
  });
  expect(unknown).toEqual(['colour']);
});

test('what cannot be read is told without the password', () => {
  for (const url of ['amqp://u:secret@h:port/', 'amqp://u:secret%@h/', 'redis://u:secret@h/']) {
    expect(() => parse(url)).toThrow(ImproperlyConfigured);
    expect(() => parse(url)).not.toThrow(/secret/);
  }
});
