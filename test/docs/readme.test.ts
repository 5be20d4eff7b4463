import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { openTransport } from '../../src/transports/drivers.ts';

const FILE = fileURLToPath(new URL('../../README.md', import.meta.url));
const BROKERS = [
  ['embedded SQLite (default)', 'sqlite://', '`sqlite:///file.db`'],
  ['memory', 'memory://', '`memory://`'],
  ['Redis, Valkey', 'redis://127.0.0.1', '`redis://`, `rediss://`, `redis+socket://`, `valkey://`, `sentinel://`'],
  ['RabbitMQ', 'amqp://127.0.0.1', '`amqp://`, `amqps://`, `pyamqp://`'],
] as const;

const word = (value: boolean | string): string => (value === true ? 'yes' : value === false ? 'no' : value);

test('README’s table of brokers says what the drivers say', async () => {
  const context = { clock: systemClock, random: systemRandom(), log: silentLogger };
  const rows = await Promise.all(
    BROKERS.map(async ([name, url, shown]) => {
      const { capabilities: can } = await openTransport(url, {}, context);
      const cells = [can.exchanges, can.priority, can.fanout, can.delay, can.persistent, can.shared, can.deliveryCount];
      return `| ${[name, shown, ...cells.map(word)].join(' | ')} |`;
    }),
  );
  const readme = readFileSync(FILE, 'utf8');
  const expected = readme.replace(
    /(<!-- brokers:.*-->\n.*\n\|[-|]+\|\n)[^]*?(<!-- \/brokers -->)/,
    (_, head: string, end: string) => `${head}${rows.join('\n')}\n${end}`,
  );
  if (process.env['UPDATE_DOCS']) writeFileSync(FILE, expected);
  else expect(readme).toBe(expected);
});

test('README shows a task, a worker and a call before line 30', () => {
  const start = readFileSync(FILE, 'utf8').split('\n').slice(0, 30).join('\n');
  expect(start).toContain('app.task(');
  expect(start).toContain('celeriac worker');
  expect(start).toContain('.delay(');
});
