import { expect, test } from 'vitest';
import { arrivalOf, delayedRoutingKey } from './delayed.ts';

const zeros = (count: number): string => '0.'.repeat(count);

test('the delay is 28 binary digits in front of the routing key, once', () => {
  const key = delayedRoutingKey(5, 'jobs');
  expect(key).toBe(`${zeros(25)}1.0.1.jobs`);
  expect(delayedRoutingKey(1, key)).toBe(`${zeros(27)}1.jobs`);
});

test.each([
  ['celery_delayed_delivery', `${zeros(27)}1.jobs`, 'home', { exchange: 'home', routingKey: 'jobs' }],
  ['celery_delayed_0', `${zeros(26)}1.0.jobs.eu`, 'home', { exchange: 'home', routingKey: 'jobs.eu' }],
  ['celery_delayed_2', `${zeros(24)}1.0.0.0.celeriac-queue.q`, 'home', { exchange: '', routingKey: 'q' }],
  ['jobs', 'jobs', 'home', { exchange: 'jobs', routingKey: 'jobs' }],
])('%s %s came from %s', (exchange, key, home, expected) => {
  expect(arrivalOf(exchange, key, home)).toEqual(expected);
});
