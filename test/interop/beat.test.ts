import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Beat, openStore } from '../../src/beat/index.ts';
import { Celery, type CeleryOptions } from '../../src/index.ts';
import { testWorker } from '../../src/testing/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { pythonMonitor, pythonWorker } from '../support/python.ts';
import { until } from '../support/until.ts';

/*
 * Beat beside Python: the messages that Celery's beat left in the vectors, Python's worker behind our beat, and our
 * worker behind Python's.
 */

interface Envelope {
  readonly body: string;
  readonly headers: Record<string, unknown>;
  readonly properties: Record<string, unknown>;
  readonly 'content-type': string;
  readonly 'content-encoding': string;
}

interface RedisList {
  readonly value: readonly { readonly text: string }[];
}

/** The newest message of a list, without what is another one in each message. */
function comparable(text: string | undefined): unknown {
  const { body, headers, properties, ...content } = JSON.parse(String(text)) as Envelope;
  const { id, root_id, origin, lang, argsrepr, expires, ...same } = headers;
  expect(root_id).toBe(id);
  expect(properties['correlation_id']).toBe(id);
  expect(properties['reply_to']).toMatch(/^[\da-f-]{36}$/);
  expect([lang, origin]).toEqual([expect.stringMatching(/^(py|js)$/), expect.stringMatching(/^gen\d+@/)]);
  const { correlation_id: _id, reply_to: _reply, delivery_tag: _tag, expiration = null, ...rest } = properties;
  return {
    content,
    same,
    // A list in Python's beat where the entry has one, else a tuple.
    args: String(argsrepr).slice(1, -1),
    expires: expires === null ? null : typeof expires,
    properties: rest,
    // Milliseconds that are left when it is sent.
    expiration: expiration === null ? null : Math.ceil(Number(expiration) / 30_000),
    body: JSON.parse(Buffer.from(body, 'base64').toString()) as unknown,
  };
}

const unavailable = missing('python') ?? missing('redis');

describe.skipIf(unavailable !== undefined)('beat and Python', () => {
  let redis: RedisServer;
  let folder: string;
  beforeAll(async () => {
    redis = await startRedis();
    folder = mkdtempSync(join(tmpdir(), 'celeriac-beat-'));
  });
  afterAll(async () => {
    await redis?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Our beat with these entries, until `enough`. */
  async function ours(beatSchedule: CeleryOptions['beatSchedule'], enough: () => Promise<boolean>): Promise<void> {
    const app = new Celery({ broker: redis.url(), backend: redis.url(1), env: {}, preset: 'celery', beatSchedule });
    const store = await openStore(app, { file: join(folder, 'ours.json') });
    const stop = new AbortController();
    const running = new Beat(app, { store }).run({ signal: stop.signal });
    try {
      await until(enough, { message: 'our beat has sent', timeoutMs: 60_000 });
    } finally {
      stop.abort();
      await running;
      await store.close?.();
      await app.close();
    }
  }

  test.each(['5.2', '5.6'])("messages are those of Celery %s's beat", async (version) => {
    const file = new URL(`../vectors/${version}/beat/messages.json`, import.meta.url);
    const { raw } = JSON.parse(readFileSync(file, 'utf8')) as { raw: { broker_db: Record<string, RedisList> } };
    const client = redis.client();
    const schedule = {
      'every-second': { task: 'vec.add', schedule: 1, args: [1, 2] },
      'every-two': {
        task: 'vec.mul',
        schedule: 2,
        kwargs: { x: 2, y: 3 },
        options: { queue: 'other', expires: 30, priority: 6, headers: { h: 1 } },
      },
    };
    const lists = ['celery', 'other\x06\x166'];
    await client.flushall();
    await ours(schedule, async () => (await Promise.all(lists.map((list) => client.llen(list)))).every((n) => n > 0));
    for (const list of lists) {
      const theirs = comparable(raw.broker_db[list]?.value[0]?.text) as { same: object };
      // Celery 5.2 lacks headers that 5.6 has, and that we write.
      expect(comparable((await client.lindex(list, 0)) ?? undefined), list).toMatchObject(theirs);
    }
  });

  test("Python's worker runs what our beat sends", async () => {
    await redis.client().flushall();
    const side = { broker: redis.url(), backend: redis.url(1) };
    await using worker = await pythonWorker(side);
    const done = (): number => worker.log().split('succeeded in').length - 1;
    const schedule = {
      sum: { task: 'py.add', schedule: 0.3, args: [2, 3] },
      told: {
        task: 'py.describe',
        schedule: 0.3,
        args: () => ['é', null],
        kwargs: { day: 1 },
        options: { expires: 60 },
      },
    };
    await ours(schedule, async () => done() >= 4);
    expect(worker.log()).toMatch(/Task py\.add\[[\w-]+\] succeeded in [\d.e-]+s: 5/);
    expect(worker.log()).toMatch(/Task py\.describe\[[\w-]+\] succeeded in [\d.e-]+s: .*'é'.*NoneType.*'day': 'int'/);
  });

  test("our worker runs what Python's beat sends", async () => {
    await redis.client().flushall();
    const ran: unknown[] = [];
    const app = new Celery({ broker: redis.url(), backend: redis.url(1), env: {} });
    app.task('js.note', { bind: true, params: ['x', 'y'] }, (ctx, x: number, y: number) => {
      ran.push([x, y, ctx.request.expires !== null]);
    });
    await using _app = app;
    await using _worker = await testWorker(app, { queues: ['from-beat'] });
    const beatSchedule = {
      note: {
        task: 'js.note',
        schedule: 0.3,
        args: [2],
        kwargs: { y: 3 },
        options: { queue: 'from-beat', expires: 60 },
      },
    };
    const side = { broker: redis.url(), backend: redis.url(1), config: { beat_schedule: beatSchedule } };
    const argv = ['beat', '-s', join(folder, 'theirs'), '--pidfile', '', '--max-interval', '1'];
    await using beat = pythonMonitor(side, argv);
    await until(() => ran.length > 2, { message: `runs of Python's beat, which said ${beat.output()}` });
    expect(ran.slice(0, 2)).toEqual([
      [2, 3, true],
      [2, 3, true],
    ]);
  });
});
