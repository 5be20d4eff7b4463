import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { binding, Connection, exchange, queue } from '../../messaging/index.ts';
import { headersMatch } from './topic.ts';

/* What RabbitMQ makes of the same bindings is in test/interop/amqp-routing.ts. */

test.each([
  [{ 'x-match': 'all', a: 1, b: 'x' }, { a: 1, b: 'x', c: 2 }, true],
  [{ a: 1, b: 'x' }, { a: 1 }, false],
  [{ a: 1 }, { a: '1' }, false],
  [{}, { a: 1 }, true],
  [{ 'x-match': 'any', a: 1, b: 'x' }, { b: 'x' }, true],
  [{ 'x-match': 'any', a: 1 }, { a: 2 }, false],
  [{ 'x-match': 'any' }, { a: 2 }, false],
  [{ 'x-match': 'all', 'x-own': 1 }, {}, true],
  [{ 'x-match': 'all-with-x', 'x-own': 1 }, {}, false],
  [{ 'x-match': 'any-with-x', 'x-own': 1, a: 1 }, { 'x-own': 1 }, true],
  [{ a: { deep: [1] } }, { a: { deep: [1] } }, true],
])('a binding with %j takes headers %j: %s', (wanted, headers, expected) => {
  expect(headersMatch(wanted, headers)).toBe(expected);
});

test('a headers exchange in memory; brokers that keep keys alone refuse it', async () => {
  const media = exchange('media', { type: 'headers' });
  const images = queue('images', { exchange: media, bindingArguments: { kind: 'image' } });
  const some = queue('some', {
    bindings: [1, 2].map((size) => binding('some', media, '', { arguments: { size, 'x-match': 'any' } })),
  });
  await using memory = new Connection('memory://');
  await memory.declare(images, some);
  const producer = memory.producer({ exchange: media });
  await producer.publish(1, { headers: { kind: 'image', size: 1 } });
  await producer.publish(2, { headers: { kind: 'video', size: 2 } });
  await producer.publish(3, { headers: { kind: 'video' } });
  expect([await memory.size(images), await memory.size(some)]).toEqual([1, 2]);
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-topic-'));
  try {
    await using sqlite = new Connection(`sqlite:///${folder}/broker.db`);
    await expect(sqlite.declare(images)).rejects.toThrow(/need RabbitMQ/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
