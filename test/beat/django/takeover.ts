import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { databaseScheduler } from '../../../src/beat/django/index.ts';
import { Beat } from '../../../src/beat/index.ts';
import { Celery } from '../../../src/index.ts';
import { startRedis, type RedisServer } from '../../drivers/redis-support.ts';
import { djangoBeat } from '../../support/django.ts';
import { until } from '../../support/until.ts';
import type { Site } from './site.ts';

/*
 * Real `celery beat -S django` and ours take turns on the same tables and the same broker.
 */

interface Sent {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

export function takeover(site: () => Site): void {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.stop());

  test('takeover: ours, Python, ours again: nothing is sent twice, and the messages are the same', async () => {
    const { python, project, url } = site();
    const client = redis.client();
    await python.run(`
now = datetime.now(timezone.utc)
second = IntervalSchedule.objects.create(every=1, period="seconds")
hour = IntervalSchedule.objects.create(every=1, period="hours")
def add(name, **fields): PeriodicTask.objects.create(**{"name": name, "task": "t." + name, "interval": second, **fields})
add("tick", queue="q", headers='{"tenant": 7}', priority=3, args='[1, "zwei"]', kwargs='{"day": "ü"}',
    expires=datetime(2099, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
add("short", expire_seconds=3600)
add("hourly", interval=hour, last_run_at=now - timedelta(hours=2))
add("once", one_off=True)
add("clocked", interval=None, clocked=ClockedSchedule.objects.create(clocked_time=now - timedelta(hours=1)), one_off=True)`);

    const sent = (name: string): Promise<Sent[]> => messages(client, name);
    const count = async (name: string): Promise<number> => (await sent(name)).length;
    const ours = async (enough: () => Promise<boolean>): Promise<void> => {
      const app = new Celery({
        broker: redis.url(),
        backend: 'disabled://',
        resultExpires: null,
        beatMaxLoopInterval: 1,
      });
      const store = databaseScheduler(app, url);
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
    };

    await ours(async () => (await count('tick')) > 1 && (await count('once')) > 0 && (await count('clocked')) > 0);
    const before = await count('tick');
    const [example] = (await sent('tick')).slice(-1);
    expect(await count('hourly')).toBe(1);

    await python.run(`
add("once in Python", one_off=True)
add("clocked in Python", interval=None, clocked=ClockedSchedule.objects.create(clocked_time=now), one_off=True)`);
    {
      await using beat = djangoBeat({ ...project, broker: redis.url() });
      const enough = async () =>
        (await count('tick')) > before + 1 &&
        (await count('once in Python')) > 0 &&
        (await count('clocked in Python')) > 0;
      try {
        await until(enough, { message: 'beat of Django has sent', timeoutMs: 60_000 });
      } catch (error) {
        throw new Error(beat.log(), { cause: error });
      }
      // Stopped while it writes, it would forget what it has sent.
      const ended = `result = PeriodicTask.objects.filter(name__endswith="in Python", enabled=True).count()`;
      await until(async () => (await python.run(ended)) === 0, { message: 'it is written down', timeoutMs: 60_000 });
      await beat.stop();
    }
    const theirs = await count('tick');
    expect(comparable((await sent('tick')).at(0) as Sent)).toEqual(comparable(example as Sent));

    await ours(async () => (await count('tick')) > theirs + 1);
    for (const name of ['hourly', 'once', 'clocked', 'once in Python', 'clocked in Python']) {
      expect(await count(name), name).toBe(1);
    }
    const all = [...(await sent('tick')), ...(await sent('short'))].map(({ headers }) => headers['id']);
    expect(new Set(all).size).toBe(all.length);
    expect(
      await python.run(`result = {row.name: [row.enabled, row.total_run_count] for row in PeriodicTask.objects.all()}`),
    ).toMatchObject({
      tick: [true, expect.any(Number)],
      short: [true, expect.any(Number)],
      hourly: [true, 1],
      once: [false, 0],
      clocked: [false, 0],
      'once in Python': [false, 0],
      'clocked in Python': [false, 0],
    });
  });
}

/** What waits for workers, newest first. */
async function messages(client: Redis, name: string): Promise<Sent[]> {
  const lists = (await client.keys('*')).filter((key) => ['q', 'celery'].includes(key.split('\x06')[0] as string));
  const texts = (await Promise.all(lists.map((list) => client.lrange(list, 0, -1)))).flat();
  return texts
    .map((text) => JSON.parse(text) as Omit<Sent, 'body'> & { body: string })
    .map((message) => ({ ...message, body: JSON.parse(Buffer.from(message.body, 'base64').toString()) as unknown }))
    .filter(({ headers }) => headers['periodic_task_name'] === name);
}

/** Without what is another one in each message. */
function comparable({ headers, properties, body }: Sent): unknown {
  const { id, root_id: root, origin, lang, argsrepr, ...same } = headers;
  expect([id, root]).toEqual([properties['correlation_id'], properties['correlation_id']]);
  expect(origin).toMatch(/@/);
  // Arguments are a list in Python's beat, else a tuple.
  expect([lang, String(argsrepr).slice(1, -1)]).toEqual([expect.stringMatching(/^(py|js)$/), "1, 'zwei'"]);
  const rest = { ...properties };
  for (const name of ['correlation_id', 'delivery_tag', 'reply_to', 'expiration']) delete rest[name];
  return { same, rest, body };
}
