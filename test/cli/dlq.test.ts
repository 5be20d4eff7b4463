import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { asDeadLetter } from '../../src/messaging/dead-letter.ts';
import { queue } from '../../src/messaging/entity.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { startRabbit } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';
import { cli } from './io.ts';

/* Dead letters as the worker leaves them, looked after from the command line. */

/** Sends tasks to `celery` and puts them where a worker puts what killed it. @returns their ids */
async function die(broker: string, count: number, task = 'math.add'): Promise<string[]> {
  await using app = new Celery({ broker, env: {} });
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push((await app.send(task, [i, 1])).id);
  await using connection = await (await app.transport()).connect();
  const channel = await connection.channel();
  const to = queue('celery.dlq');
  for (let i = 0; i < count; i++) {
    const delivery = await until(async () => channel.get('celery'), { message: 'a message' });
    const message = asDeadLetter(delivery.message, {
      queue: 'celery',
      reason: 'it kills',
      atMs: 1_800_000_000_000 + i,
    });
    await app.publisher.publishRaw(message, { exchange: '', routingKey: to.name }, { declares: [to] });
    await delivery.ack();
  }
  await channel.close();
  return ids;
}

/** What waits in a queue; takes it away. */
async function drain(broker: string, name: string): Promise<{ id: string; death: unknown }[]> {
  await using app = new Celery({ broker, env: {} });
  await using connection = await (await app.transport()).connect();
  const found: { id: string; death: unknown }[] = [];
  if ((await (await connection.channel()).size(name)) === 0) return found;
  const channel = await connection.channel();
  for (;;) {
    const delivery = await channel.get(name);
    if (delivery === undefined) return found;
    const { headers } = delivery.message;
    found.push({ id: String(headers['id']), death: headers['celeriac-death'] });
    await delivery.ack();
  }
}

const idsOf = (found: readonly { id: string }[]): string[] => found.map(({ id }) => id).sort();

function looksAfter(broker: () => string): void {
  test('list, show, retry and drop', async () => {
    const dlq = (...words: string[]): ReturnType<typeof cli> => cli(['-b', broker(), 'dlq', ...words]);
    expect(await dlq('list')).toEqual({ code: 0, out: 'No dead letters.\n', err: '' });
    expect(JSON.parse((await dlq('list', '-j')).out)).toEqual({ total: 0, letters: [] });

    const adds = await die(broker(), 3);
    const [mail = ''] = await die(broker(), 1, 'mail.send');
    const listed = JSON.parse((await dlq('list', '--json')).out) as { total: number; letters: { id: string }[] };
    expect(listed.total).toBe(4);
    expect(idsOf(listed.letters)).toEqual([...adds, mail].sort());
    expect(listed.letters.find(({ id }) => id === adds[1])).toEqual({
      id: adds[1],
      task: 'math.add',
      queue: 'celery',
      deadLetterQueue: 'celery.dlq',
      reason: 'it kills',
      diedAt: new Date(1_800_000_000_001).toISOString(),
      retries: 0,
      args: '(1, 1)',
      kwargs: '{}',
    });
    // It was only looked at.
    const text = await dlq('list', '-n', '2');
    expect(text.out.split('\n')).toHaveLength(3);
    expect(text.out).toContain(' from celery 2027-01-15T08:00:00.00');
    expect(text.err).toContain('2 more');

    const shown = await dlq('show', mail, '--json');
    expect(JSON.parse(shown.out)).toMatchObject({ id: mail, task: 'mail.send', body: { args: [0, 1], kwargs: {} } });
    expect((await dlq('show', mail)).out).toContain('"celeriac-death"');
    expect(await dlq('show', 'nobody')).toMatchObject({ code: 1, err: expect.stringContaining('nobody') as string });

    expect(await dlq('retry')).toMatchObject({ code: 2 });
    expect(await dlq('retry', mail, '--all')).toMatchObject({ code: 2 });
    expect(await dlq('drop', '--all')).toMatchObject({ code: 2, err: expect.stringContaining('--force') as string });

    const one = await dlq('retry', mail, 'nobody', '--json');
    expect({ code: one.code, told: JSON.parse(one.out) as unknown, err: one.err }).toEqual({
      code: 1,
      told: { done: 1, missing: ['nobody'] },
      err: '',
    });
    expect(await drain(broker(), 'celery')).toEqual([{ id: mail, death: undefined }]);

    const dropped = await dlq('drop', adds[0] as string);
    expect(dropped).toMatchObject({ code: 0, out: 'Dropped: 1.\n' });
    const rest = await dlq('retry', '--all', '--task', 'math.add', '--limit', '1');
    expect(rest).toMatchObject({
      code: 0,
      out: 'Sent again: 1.\n',
      err: expect.stringContaining('1 sent again: ') as string,
    });
    const again = await drain(broker(), 'celery');
    expect(again).toHaveLength(1);
    const left = adds.slice(1).filter((id) => id !== again[0]?.id);
    const kept = JSON.parse((await dlq('list', '-j')).out) as { letters: { id: string }[] };
    expect(idsOf(kept.letters)).toEqual(left);
    expect(await dlq('drop', '--all', '--force')).toMatchObject({ code: 0, out: 'Dropped: 1.\n' });
    expect((await dlq('list')).out).toBe('No dead letters.\n');
  });

  test('a retry that is killed on the way and run again loses nothing', async () => {
    const ids = await die(broker(), 150);
    const words = ['-b', broker(), 'dlq', 'retry', '--all'];
    const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', ...words], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let seen = '';
    const ended = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
    child.stderr.on('data', (text) => {
      seen += String(text);
      // At once: a moment later it might be done.
      if (seen.includes('20 sent again')) child.kill('SIGKILL');
    });
    expect(await ended).toBe('SIGKILL');
    // What the dead process held is given back by whichever worker notices its death.
    await using app = new Celery({ broker: broker(), backend: 'memory://', log: silentLogger, env: {} });
    await using worker = new Worker(app, { queues: ['elsewhere'] });
    await worker.start();
    const arrived = new Set<string>();
    await until(
      async () => {
        await cli(['-q', ...words]);
        for (const { id } of await drain(broker(), 'celery')) arrived.add(id);
        return arrived.size === ids.length;
      },
      { message: 'all of them', timeoutMs: 60_000 },
    );
    expect(arrived).toEqual(new Set(ids));
    expect((await cli(['-b', broker(), 'dlq', 'list'])).out).toBe('No dead letters.\n');
  }, 120_000);
}

describe('embedded broker', () => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-dlq-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  looksAfter(() => `sqlite:///${join(folder, 'broker.db')}`);

  test('no broker, no answer', async () => {
    const { code } = await cli(['-b', 'redis://127.0.0.1:1/0', 'dlq', 'list']);
    expect(code).toBe(69);
  });
});

describe.skipIf(missing('redis'))('Redis', () => {
  let server: Awaited<ReturnType<typeof startRedis>>;
  beforeAll(async () => void (server = await startRedis()));
  afterAll(() => server.stop());
  looksAfter(() => server.url());
});

describe.skipIf(missing('rabbitmq'))('RabbitMQ', () => {
  let server: Awaited<ReturnType<typeof startRabbit>>;
  beforeAll(async () => void (server = await startRabbit()), 120_000);
  afterAll(() => server.stop());
  looksAfter(() => server.url());

  test('a queue that is gone: the letter stays', async () => {
    const [id = ''] = await die(server.url(), 1);
    const to = await cli(['-b', server.url(), 'dlq', 'retry', id, '--to', 'nowhere']);
    expect(to.code).not.toBe(0);
    const { out } = await cli(['-b', server.url(), 'dlq', 'list', '-j']);
    expect((JSON.parse(out) as { letters: { id: string }[] }).letters.map((one) => one.id)).toEqual([id]);
  });
});
