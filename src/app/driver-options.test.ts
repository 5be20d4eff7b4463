import { expect, test } from 'vitest';
import { resolveConfig } from './config.ts';
import { QueueTable } from './queues.ts';
import { backendOptions, backendUrl, brokerOptions } from './driver-options.ts';

test('TLS of the broker goes to the transport, whose own options win', () => {
  const redis = 'redis://';
  expect(brokerOptions(resolveConfig({}), redis)).toEqual({});
  expect(brokerOptions(resolveConfig({ brokerUseSsl: true }), redis)).toEqual({ ssl: true });
  const both = { brokerUseSsl: { ssl_cert_reqs: 'none' }, brokerTransportOptions: { ssl: { ca: 'x' }, sep: '.' } };
  expect(brokerOptions(resolveConfig(both), redis)).toEqual({ ssl: { ca: 'x' }, sep: '.' });
});

test('publishing over AMQP is confirmed, unless the settings say otherwise', () => {
  const confirms = (settings: object): unknown =>
    brokerOptions(resolveConfig(settings), 'amqp://localhost')['confirm_publish'];
  expect(confirms({})).toBe(true);
  expect(confirms({ publisherConfirms: false })).toBe(false);
  expect(confirms({ preset: 'celery' })).toBe(false);
  expect(confirms({ preset: 'celery', brokerTransportOptions: { confirm_publish: true } })).toBe(true);
});

test('settings of the broker reach the AMQP driver, unless its own options say otherwise', () => {
  const settings = {
    brokerHeartbeat: '7s',
    brokerLoginMethod: 'AMQPLAIN',
    brokerConnectionTimeout: 3,
    brokerNativeDelayedDeliveryQueueType: 'classic',
  } as const;
  for (const url of ['amqp://', 'amqps://host', 'pyamqp://host', 'librabbitmq://host']) {
    expect(brokerOptions(resolveConfig(settings), url)).toEqual({
      confirm_publish: true,
      heartbeat: 7,
      login_method: 'AMQPLAIN',
      connect_timeout: 3,
      native_delayed_delivery_queue_type: 'classic',
    });
  }
  expect(brokerOptions(resolveConfig(settings), 'redis://')).toEqual({});
  const brokerTransportOptions = {
    heartbeat: 0,
    loginMethod: 'PLAIN',
    socket_connect_timeout: 9,
    native_delayed_delivery_queue_type: 'quorum',
    confirmPublish: false,
  };
  expect(brokerOptions(resolveConfig({ ...settings, brokerTransportOptions }), 'amqp://')).toEqual(
    brokerTransportOptions,
  );
});

test('quorum queues switch delayed delivery on, unless it is switched off', () => {
  const delayed = (settings: object): unknown =>
    brokerOptions(resolveConfig(settings), 'amqp://', new QueueTable(resolveConfig(settings)).quorum)[
      'native_delayed_delivery'
    ];
  expect(delayed({})).toBeUndefined();
  expect(delayed({ taskDefaultQueueType: 'quorum' })).toBe(true);
  expect(delayed({ taskCreateMissingQueueType: 'quorum' })).toBe(true);
  expect(delayed({ taskQueues: { a: { queueArguments: { 'x-queue-type': 'quorum' } } } })).toBe(true);
  expect(delayed({ taskDefaultQueueType: 'quorum', brokerTransportOptions: { native_delayed_delivery: false } })).toBe(
    false,
  );
  expect(brokerOptions(resolveConfig({}), 'redis://', true)).toEqual({});
});

test("Celery's own heartbeat and login method are left to the AMQP driver", () => {
  const options = brokerOptions(resolveConfig({ brokerConnectionTimeout: 0 }), 'amqp://');
  expect(Object.keys(options)).not.toContain('heartbeat');
  expect(Object.keys(options)).not.toContain('login_method');
  expect(options['connect_timeout']).toBe(1);
  expect(brokerOptions(resolveConfig({ brokerHeartbeat: 0 }), 'amqp://')['heartbeat']).toBe(0);
});

test('settings of the Redis result backend reach its driver and no other', () => {
  const provider = (): { password: string } => ({ password: 'x' });
  const conf = resolveConfig({
    redisBackendUseSsl: { ca: 'x' },
    redisSocketTimeout: '3s',
    redisSocketConnectTimeout: 2,
    redisSocketKeepalive: true,
    redisClientName: 'results',
    redisBackendHealthCheckInterval: 7,
    redisBackendCredentialProvider: provider,
    resultBackendTransportOptions: { client_name: 'own' },
  });
  expect(backendOptions('rediss://host', conf)).toEqual({
    ssl: { ca: 'x' },
    socket_timeout: 3,
    socket_connect_timeout: 2,
    socket_keepalive: true,
    client_name: 'own',
    health_check_interval: 7,
    credential_provider: provider,
  });
  expect(backendOptions('sqlite://', conf)).toEqual({ client_name: 'own' });
  expect(backendOptions('redis://', resolveConfig({}))).toEqual({});
});

const parts = { redisHost: 'db', redisPort: 6380, redisDb: 2, redisUsername: 'me', redisPassword: 'p@ss' };

test.each<[string, object, string]>([
  ['redis', parts, 'redis://me:p%40ss@db:6380/2'],
  ['redis://', parts, 'redis://me:p%40ss@db:6380/2'],
  ['redis://other/5', parts, 'redis://me:p%40ss@other:6380/5'],
  ['redis://a:b@other:1/5?ssl_cert_reqs=none', parts, 'redis://a:b@other:1/5?ssl_cert_reqs=none'],
  ['redis://host', { redisPassword: 'x' }, 'redis://:x@host/0'],
  ['redis://[::1]', { redisPort: 1 }, 'redis://[::1]:1/0'],
  ['redis://host', {}, 'redis://host'],
  ['sqlite:///x', parts, 'sqlite:///x'],
])('%s with %j is %s', (url, settings, expected) => {
  expect(backendUrl(url, resolveConfig(settings))).toBe(expected);
});
