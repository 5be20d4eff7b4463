import { expect, test } from 'vitest';
import { OperationalError } from '../errors.ts';
import { failover } from './failover.ts';
import type { Connection, Transport } from './transport.ts';

const tried: string[] = [];
function broker(name: string, up: () => boolean): Transport {
  return {
    name: 'fake',
    displayUrl: name,
    capabilities: {} as Transport['capabilities'],
    info: {} as Transport['info'],
    async connect(): Promise<Connection> {
      tried.push(name);
      if (up()) return {} as Connection;
      throw new OperationalError(`${name} is down`, { recoverable: true });
    },
  };
}

test('each is tried in turn; the one that worked comes first the next time', async () => {
  const up = new Set(['c']);
  const all = ['a', 'b', 'c'].map((name) => broker(name, () => up.has(name)));
  const transport = failover(all);
  tried.length = 0;
  await transport.connect();
  await transport.connect();
  expect(tried).toEqual(['a', 'b', 'c', 'c']);
  expect(transport.displayUrl).toBe('c');
  up.clear();
  await expect(transport.connect()).rejects.toThrow('b is down');
  expect(tried).toEqual(['a', 'b', 'c', 'c', 'c', 'a', 'b']);
});

test('an order of the application’s own', async () => {
  const all = ['a', 'b', 'c'].map((name) => broker(name, () => name === 'a'));
  const transport = failover(all, (transports) => [...transports].reverse());
  tried.length = 0;
  await transport.connect();
  expect(tried).toEqual(['c', 'b', 'a']);
});

test('an order without anything falls back to the first', async () => {
  const transport = failover([broker('a', () => true)], () => []);
  tried.length = 0;
  await transport.connect();
  expect(tried).toEqual(['a']);
});
