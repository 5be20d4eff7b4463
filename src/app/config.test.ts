import { expect, test } from 'vitest';
import { configDifferences, maskedConfig, resolveConfig, SETTINGS, type Config, type ConfigInput } from './config.ts';

test('no broker named: the embedded one, for messages and results', () => {
  expect(resolveConfig({})).toMatchObject({ brokerUrl: 'sqlite://', resultBackend: 'sqlite://', preset: 'safe' });
});

test('a broker named leaves the result backend unset', () => {
  expect(resolveConfig({ brokerUrl: 'redis://h' })).toMatchObject({ brokerUrl: 'redis://h', resultBackend: null });
  expect(resolveConfig({ brokerReadUrl: 'redis://h' })).toMatchObject({ brokerUrl: null, resultBackend: null });
});

test('the preset "celery" is the table, untouched', () => {
  const config = resolveConfig({ preset: 'celery' });
  const table = Object.fromEntries(Object.entries(SETTINGS).map(([name, { default: value }]) => [name, value]));
  expect(config).toEqual({ ...table, preset: 'celery' });
  expect(configDifferences(config).map(({ name }) => name)).toEqual(['preset']);
});

test('the preset "safe" is the table except for the promises it makes', () => {
  expect(configDifferences(resolveConfig({}))).toEqual([
    { name: 'maxDeliveries', celery: null, here: 3 },
    { name: 'maskedArguments', celery: null, here: expect.arrayContaining(['password', 'token']) as string[] },
    { name: 'publisherConfirms', celery: false, here: true },
    { name: 'brokerUrl', celery: null, here: 'sqlite://' },
    { name: 'taskAcksLate', celery: false, here: true },
    { name: 'taskRejectOnWorkerLost', celery: null, here: true },
    { name: 'workerPool', celery: 'prefork', here: 'async' },
    { name: 'resultBackend', celery: null, here: 'sqlite://' },
  ]);
});

test('what is given wins over the preset', () => {
  expect(resolveConfig({ taskAcksLate: false, maxDeliveries: null })).toMatchObject({
    taskAcksLate: false,
    maxDeliveries: null,
  });
});

test('undefined counts as not given', () => {
  expect(resolveConfig({ taskAcksLate: undefined }).taskAcksLate).toBe(true);
});

test.each<[ConfigInput, Partial<Config>]>([
  [{ resultExpires: '2h' }, { resultExpires: 7200 }],
  [{ resultExpires: 60 }, { resultExpires: 60 }],
  [{ resultExpires: null }, { resultExpires: null }],
  [{ brokerConnectionTimeout: '1500ms' }, { brokerConnectionTimeout: 1.5 }],
  [{ brokerUrl: ['redis://a', 'redis://b'] }, { brokerUrl: ['redis://a', 'redis://b'] }],
  [{ timezone: 'Europe/Paris' }, { timezone: 'Europe/Paris' }],
])('%j resolves to %j', (input, expected) => {
  expect(resolveConfig(input)).toMatchObject(expected);
});

test('the environment wins over everything, and empty variables do not count', () => {
  const env = { CELERY_BROKER_URL: 'redis://env', CELERY_RESULT_BACKEND: '', CELERY_BROKER_WRITE_URL: 'redis://w' };
  expect(resolveConfig({ brokerUrl: 'redis://h', resultBackend: 'redis://r' }, env)).toMatchObject({
    brokerUrl: 'redis://env',
    brokerReadUrl: null,
    brokerWriteUrl: 'redis://w',
    resultBackend: 'redis://r',
  });
});

test.each<[object, RegExp]>([
  [
    { workerConcurrency: 'eight' },
    /"workerConcurrency": expected a whole number of at least 0 or null, got "eight" \(string\)/,
  ],
  [{ workerConcurrency: 1.5 }, /got 1.5 \(number\)/],
  [{ taskAcksLate: 'yes' }, /"taskAcksLate": expected true or false, got "yes" \(string\)/],
  [{ taskAcksLate: null }, /expected true or false, got null/],
  [{ resultExpires: 'soon' }, /expected a number of seconds or a text such as '30s' or null, got "soon"/],
  [{ taskProtocol: 3 }, /expected one of 1, 2, got 3/],
  [{ timezone: 'Mars/Olympus' }, /expected the name of a time zone/],
  [{ include: 'tasks' }, /expected a list of texts/],
  [{ brokerPassword: 12345 }, /expected a text or null, got a number$/],
  [{ taskRoutes: 'module:router' }, /taskRoutes.*import the router/],
  [{ taskRoutes: { a: 3 } }, /taskRoutes/],
  [{ taskQueues: { a: { exchnage: 'x' } } }, /queue "a" has the unknown key "exchnage"/],
  [{ taskQueues: 3 }, /"taskQueues"/],
  [{ taskAnnotations: { a: 3 } }, /taskAnnotations/],
])('%j is refused', (input, message) => {
  expect(() => resolveConfig(input)).toThrow(message);
});

test('the result is frozen through and through, the input is not', () => {
  const options = { nested: { list: [1] } };
  const client = new (class Client {})();
  const config = resolveConfig({ brokerTransportOptions: { options, client } });
  const kept = config.brokerTransportOptions['options'] as typeof options;
  expect(Object.isFrozen(config)).toBe(true);
  expect(Object.isFrozen(kept.nested.list)).toBe(true);
  expect(Object.isFrozen(options.nested)).toBe(false);
  expect(config.brokerTransportOptions['client']).toBe(client);
  expect(Object.isFrozen(client)).toBe(false);
});

test('secrets are masked wherever they stand', () => {
  const shown = maskedConfig(
    resolveConfig({
      brokerUrl: ['redis://:s3cret@h/0', 'amqp://user:s3cret@h//'],
      resultBackend: 'redis://u:s3cret@h/1',
      redisPassword: 's3cret',
      brokerTransportOptions: { sentinel_kwargs: { password: 's3cret' }, list: [{ token: 's3cret' }] },
      brokerUseSsl: { key: 's3cret', ca: 'public' },
      taskDefaultRoutingKey: 'shown',
    }),
  );
  expect(JSON.stringify(shown)).not.toContain('s3cret');
  expect(shown).toMatchObject({
    redisPassword: '********',
    taskDefaultRoutingKey: 'shown',
    brokerUseSsl: { key: '********', ca: 'public' },
    brokerPassword: null,
  });
});
