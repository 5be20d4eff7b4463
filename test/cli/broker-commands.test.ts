import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Celery } from '../../src/app/celery.ts';
import { missing } from '../support/available.ts';
import { until } from '../support/until.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { cli } from './io.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'celeriac-cli-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string): string => `sqlite:///${join(folder, name)}`;

async function fill(url: string, count: number, task = 'math.add', queue = 'celery'): Promise<string[]> {
  await using app = new Celery({ broker: url, env: {} });
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push((await app.send(task, [i, 1], { queue })).id);
  return ids;
}

/** Ids of what waits; takes it away. */
async function drain(url: string, queue = 'celery'): Promise<string[]> {
  await using app = new Celery({ broker: url, env: {} });
  await using connection = await (await app.transport()).connect();
  const channel = await connection.channel();
  const ids: string[] = [];
  for (;;) {
    const delivery = await channel.get(queue);
    if (delivery === undefined) return ids;
    ids.push(String(delivery.message.headers['id']));
    await delivery.ack();
  }
}

const SCRIPT = [
  'exchange.declare news topic',
  'queue.declare inbox',
  'queue.bind inbox news sport.#',
  "basic.publish 'hello there' news sport.ski",
  'basic.publish nothing news weather',
  'basic.get inbox',
  'queue.declare inbox',
];

function scripted(brokers: () => string): void {
  test('amqp: a script of commands; what was taken and not acknowledged goes back', async () => {
    const first = await cli(['-b', brokers(), 'amqp', '--json'], { input: SCRIPT.map((line) => `${line}\n`) });
    expect(first.err).toBe('');
    const lines = first.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[5]).toMatchObject({
      body: 'hello there',
      content_type: 'text/plain',
      delivery_info: { exchange: 'news', routing_key: 'sport.ski' },
    });
    const tag = await until(async () => {
      const { out } = await cli(['-b', brokers(), 'amqp', 'basic.get', 'inbox', '--json']);
      return (JSON.parse(out) as { delivery_info?: { delivery_tag: string } } | null)?.delivery_info?.delivery_tag;
    });
    expect(tag).toBeTypeOf('string');
    const purged = await until(async () => {
      const { out } = await cli(['-b', brokers(), 'amqp', 'queue.purge', 'inbox']);
      return out.includes('1 messages') && out;
    });
    expect(purged).toBe('ok. 1 messages deleted.\n');
    for (const words of [
      ['exchange.delete', 'news'],
      ['queue.delete', 'inbox'],
    ]) {
      expect((await cli(['-b', brokers(), 'amqp', ...words])).code).toBe(0);
    }
  });

  test('amqp: acknowledging settles', async () => {
    const taken = await cli(['-b', brokers(), 'amqp'], {
      input: ["basic.publish a '' box\n", 'basic.get box yes\n', 'basic.get box\n'],
    });
    expect(taken.out.split('\n').at(-2)).toBe('null');
  });

  test('list bindings', async () => {
    const input = ['exchange.declare news topic\n', 'queue.declare inbox\n', 'queue.bind inbox news sport.#\n'];
    expect((await cli(['-b', brokers(), 'amqp'], { input })).err).toBe('');
    const { out } = await cli(['-b', brokers(), 'list', 'bindings']);
    expect(out).toMatch(/^Queue {24}Exchange {21}Routing Key\n/);
    expect(out).toMatch(/\ninbox {24}news {25}sport\.#\n/);
    const asJson = await cli(['-b', brokers(), 'list', 'bindings', '--json']);
    expect(JSON.parse(asJson.out)).toContainEqual({ queue: 'inbox', exchange: 'news', routing_key: 'sport.#' });
    await cli(['-b', brokers(), 'amqp', 'exchange.delete', 'news']);
    expect((await cli(['-b', brokers(), 'list', 'bindings'])).out).not.toContain('sport.#');
  });
}

describe('embedded broker', () => scripted(() => file('broker.db')));

describe.skipIf(missing('redis'))('Redis', () => {
  let server: RedisServer;
  beforeEach(async () => void (server = await startRedis()));
  afterEach(() => server.stop());
  scripted(() => server.url());

  test('migrate takes tasks from the embedded broker to Redis, headers and bodies as they are', async () => {
    const ids = await fill(file('old.db'), 40);
    const { code, out, err } = await cli(['migrate', file('old.db'), server.url(), '-a']);
    expect(err).toContain('Migrating task 40/40: math.add[');
    expect({ code, out }).toEqual({ code: 0, out: 'Moved 40 tasks.\n' });
    expect(await drain(file('old.db'))).toEqual([]);
    expect((await drain(server.url())).sort()).toEqual([...ids].sort());
  });
});

test('amqp: an unknown command, and an unknown tag', async () => {
  const url = file('broker.db');
  const typo = await cli(['-b', url, 'amqp', 'queue.purg', 'x']);
  expect(typo).toMatchObject({ code: 2, err: expect.stringContaining('Did you mean queue.purge?') as string });
  const script = await cli(['-b', url, 'amqp'], { input: ['basic.ack 7\n'] });
  expect(script).toMatchObject({ code: 1, err: expect.stringContaining('basic.get <queue>') as string });
  const people = await cli(['-b', url, 'amqp'], {
    tty: true,
    input: ['nonsense\n', "queue.declare 'x\n", 'queue.declare x\n'],
  });
  expect(people.code).toBe(0);
  expect(people.out).toBe('ok. queue:x messages:0\n');
  expect(people.err).toContain('no command "nonsense"');
});

test('migrate: without -a it copies; filters, limits and new names', async () => {
  await fill(file('a.db'), 3, 'one');
  const two = await fill(file('a.db'), 3, 'two');
  const quiet = ['-q', 'migrate', file('a.db'), file('b.db')];
  expect((await cli([...quiet, '--json'])).out).toBe('{"moved":6,"left":0}\n');
  expect(await drain(file('b.db'))).toHaveLength(6);
  expect((await cli([...quiet, '-a', '-T', 'two', '-Q', 'celery:renamed', '-n', '2'])).out).toBe(
    'Moved 2 tasks, left 3.\n',
  );
  expect(await drain(file('b.db'), 'renamed')).toEqual(two.slice(0, 2));
  expect(await drain(file('a.db'))).toHaveLength(4);
  expect(await cli(['migrate', 'memory://', 'memory://', '--forever'])).toMatchObject({ code: 2 });
});

test('migrate: killed on the way and run again, nothing is lost', async () => {
  const ids = await fill(file('a.db'), 400);
  const command = ['src/cli/main.ts', 'migrate', file('a.db'), file('b.db'), '-a'];
  const child = spawn(process.execPath, ['--import', 'tsx', ...command], { stdio: ['ignore', 'ignore', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let seen = '';
  child.stderr.on('data', (text) => (seen += String(text)));
  const ended = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
  await until(() => seen.includes('Migrating task 20/'), { message: 'progress' });
  child.kill('SIGKILL');
  expect(await ended).toBe('SIGKILL');
  // What the killed process held waits again once its death is noticed.
  const arrived = new Set<string>();
  await until(
    async () => {
      await cli(['-q', 'migrate', file('a.db'), file('b.db'), '-a']);
      for (const id of await drain(file('b.db'))) arrived.add(id);
      return arrived.size === ids.length;
    },
    { message: 'all tasks' },
  );
  expect(arrived).toEqual(new Set(ids));
});
