import { expect, test } from 'vitest';
import { brokerUrls } from './broker-urls.ts';
import { resolveConfig, type ConfigInput } from './config.ts';
import { effectiveTimezone } from './timezone.ts';

test.each<[ConfigInput, 'read' | 'write', string[]]>([
  [{}, 'read', ['sqlite://']],
  [{ preset: 'celery' }, 'read', ['amqp://guest:guest@localhost:5672//']],
  [{ brokerUrl: 'redis://a; redis://b' }, 'write', ['redis://a', 'redis://b']],
  [{ brokerUrl: ['redis://a', 'redis://b;redis://c'] }, 'write', ['redis://a', 'redis://b', 'redis://c']],
  [{ brokerUrl: 'redis://a', brokerReadUrl: 'redis://r' }, 'read', ['redis://r']],
  [{ brokerUrl: 'redis://a', brokerReadUrl: 'redis://r' }, 'write', ['redis://a']],
  [{ brokerReadUrl: 'redis://r' }, 'write', ['redis://r']],
  [
    { brokerTransport: 'redis', brokerHost: 'h', brokerPort: 6379, brokerPassword: 'p@', brokerVhost: '1' },
    'read',
    ['redis://:p%40@h:6379/1'],
  ],
])('%j %s', (input, direction, expected) => {
  expect(brokerUrls(resolveConfig(input), direction)).toEqual(expected);
});

test('the zone: as set, else UTC, else the machine', () => {
  expect(effectiveTimezone({ timezone: 'Asia/Tokyo', enableUtc: true })).toBe('Asia/Tokyo');
  expect(effectiveTimezone({ timezone: null, enableUtc: true })).toBe('UTC');
  expect(effectiveTimezone({ timezone: null, enableUtc: false })).toBe(
    new Intl.DateTimeFormat().resolvedOptions().timeZone,
  );
});
