import { expect, test } from 'vitest';
import { seededRandom } from '../runtime/random.ts';
import type { Transport } from '../transports/transport.ts';
import { brokerUrls, failoverOrder } from './broker-urls.ts';
import { resolveConfig, type Config, type ConfigInput } from './config.ts';
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

test('the failover strategy orders the transports as it orders their URLs', () => {
  const transports = ['a', 'b', 'c'].map((displayUrl) => ({ displayUrl }) as Transport);
  const names = (strategy: Config['brokerFailoverStrategy']): string[] =>
    [...failoverOrder(['a', 'b', 'c'], strategy, seededRandom(3))(transports)].map(({ displayUrl }) => displayUrl);
  expect(names(null)).toEqual(['a', 'b', 'c']);
  expect(names('round-robin')).toEqual(['a', 'b', 'c']);
  expect(names('shuffle').sort()).toEqual(['a', 'b', 'c']);
  expect(names((urls) => [...urls, 'unknown'].reverse())).toEqual(['c', 'b', 'a']);
});
