import { afterEach, describe, expect, test } from 'vitest';
import { OperationalError, type Celery, type CeleryOptions, type SignalName, type TaskOptions } from '../index.ts';
import { silentLogger } from '../runtime/logger.ts';
import { systemClock } from '../runtime/clock.ts';
import { systemRandom } from '../runtime/random.ts';
import { createTransport } from '../transports/memory.ts';
import type { Delivery, Transport } from '../transports/transport.ts';
import { eventually } from '../testing/eventually.ts';
import { MemoryFleet } from '../testing/memory-fleet.ts';

/* What options and settings make of the end of a run; and which signals tell of it. */

const fleet = new MemoryFleet({ hostname: 'w@test', concurrency: 2 });
const start = fleet.start.bind(fleet);
afterEach(() => fleet.stop());

/** The broker in memory, which writes down how task messages are settled: `ack`, `reject` or `requeue`. */
function observed(log: string[]): Transport {
  const context = { clock: systemClock, random: systemRandom(), log: silentLogger };
  const inner = createTransport('memory://', {}, context);
  const connect = inner.connect.bind(inner);
  const note = (delivery: Delivery): Delivery => {
    const { ack, reject } = delivery;
    return Object.assign(delivery, {
      ack: () => (log.push('ack'), ack.call(delivery)),
      reject: (how: { requeue: boolean }) => (log.push(how.requeue ? 'requeue' : 'reject'), reject.call(delivery, how)),
    });
  };
  return Object.assign(inner, {
    connect: async () => {
      const connection = await connect();
      const open = connection.channel.bind(connection);
      return Object.assign(connection, {
        channel: async () => {
          const channel = await open();
          const consume = channel.consume.bind(channel);
          channel.consume = (queue, deliver, options) =>
            consume(queue, queue.name === 'celery' ? (one) => deliver(note(one)) : deliver, options);
          return channel;
        },
      });
    },
  });
}

async function recordOf(app: Celery, id: string): Promise<{ status: string } | undefined> {
  return (await app.backend()).load(id);
}

describe('late acknowledgement', () => {
  test.each<[TaskOptions, number]>([
    [{ acksOnFailure: true }, 1],
    [{ acksOnFailure: false }, 1],
  ])('a failed run with %j happens %i time', async (options, expected) => {
    let runs = 0;
    const app = await start((on) => {
      on.task('fails', { acksLate: true, ...options }, () => {
        runs++;
        throw new Error('no');
      });
    });
    const handle = await app.send('fails');
    await expect(handle.get({ timeout: '10s' })).rejects.toThrow('no');
    await (await app.send('celery.accumulate', [1])).get({ timeout: '10s' });
    expect(runs).toBe(expected);
  });

  /** How the one message of a task is settled. */
  async function settledAs(options: TaskOptions, settings: CeleryOptions = {}): Promise<string> {
    const log: string[] = [];
    const app = await start(
      (on) => {
        on.task('ends', options, async (how: string) => {
          if (how === 'fail') throw new Error('no');
          if (log.length === 0) await new Promise(() => {});
        });
      },
      { ...settings, broker: observed(log) },
    );
    await app.send('ends', [options.timeLimit === undefined ? 'fail' : 'hang']);
    await eventually(() => log.length > 0, 'the message is settled');
    return log[0] as string;
  }

  test.each<[TaskOptions, CeleryOptions, string]>([
    [{}, {}, 'ack'],
    [{ acksOnFailureOrTimeout: false }, {}, 'reject'],
    [{}, { taskAcksOnFailureOrTimeout: false }, 'reject'],
    [{ acksOnFailure: false }, {}, 'reject'],
    [{ acksOnFailure: true, acksOnFailureOrTimeout: false }, {}, 'ack'],
    [{ acksLate: false, acksOnFailure: false }, {}, 'ack'],
    [{ timeLimit: '50ms' }, {}, 'ack'],
    [{ timeLimit: '50ms', acksOnTimeout: false }, {}, 'requeue'],
    [{ timeLimit: '50ms', acksOnFailureOrTimeout: false }, {}, 'requeue'],
    [{ timeLimit: '50ms', acksOnFailure: false }, {}, 'ack'],
  ])('a run that ends badly with %j and %j: %s', async (options, settings, expected) => {
    expect(await settledAs({ acksLate: true, ...options }, settings)).toBe(expected);
  });

  test('a retry whose RETRY cannot be stored is sent once, and its message is acknowledged', async () => {
    const log: string[] = [];
    let runs = 0;
    const app = await start(
      (on) => {
        on.task('again', { bind: true, acksLate: true }, (ctx) => {
          runs++;
          if (ctx.retries === 0) throw ctx.retry({ countdown: 0 });
        });
      },
      { broker: observed(log) },
    );
    const backend = await app.backend();
    const store = backend.store.bind(backend);
    backend.store = (record) =>
      record.status === 'RETRY' ? Promise.reject(new OperationalError('away', { recoverable: true })) : store(record);
    await (await app.send('again')).get({ timeout: '10s' });
    await eventually(() => log.length === 2, 'both messages are settled');
    expect([runs, ...log]).toEqual([2, 'ack', 'ack']);
  });

  test('a run over the hard limit goes back to the queue where it is not acknowledged', async () => {
    let runs = 0;
    const app = await start((on) => {
      on.task('slow', { acksLate: true, acksOnTimeout: false, timeLimit: '50ms' }, async () => {
        if (++runs === 1) await new Promise(() => {});
        return runs;
      });
    });
    const handle = await app.send('slow');
    await eventually(() => runs === 2, 'the second run');
    await handle.get({ timeout: '10s' }).catch(() => {});
    expect(runs).toBe(2);
  });
});

describe('results that are ignored', () => {
  test.each([
    [true, 'FAILURE'],
    [false, undefined],
  ])('storeErrorsEvenIfIgnored %s', async (storeErrorsEvenIfIgnored, status) => {
    const app = await start((on) => {
      on.task('quiet', { ignoreResult: true, storeErrorsEvenIfIgnored }, (fail: boolean) => {
        if (fail) throw new Error('no');
        return 1;
      });
    });
    const failed = await app.send('quiet', [true]);
    const fine = await app.send('quiet', [false]);
    let done = 0;
    app.on('taskPostrun', () => void done++);
    await (await app.send('celery.accumulate', [1])).get({ timeout: '10s' });
    await eventually(async () => (await recordOf(app, failed.id))?.status === status, 'the record');
    expect(await recordOf(app, fine.id)).toBeUndefined();
  });
});

test('resultExtended stores what was called, where and how often', async () => {
  const app = await start((on) => void on.task('add', (x: number, y: number) => x + y), { resultExtended: true });
  const handle = await app.send('add', [1, 2]);
  await handle.get({ timeout: '10s' });
  expect(await handle.meta()).toMatchObject({
    name: 'add',
    args: [1, 2],
    kwargs: {},
    worker: 'w@test',
    retries: 0,
    queue: 'celery',
  });
});

test('children inherit the priority where the setting says so', async () => {
  const seen: (number | null)[] = [];
  const app = await start(
    (on) => {
      const child = on.task('child', { bind: true }, (ctx) => void seen.push(ctx.request.deliveryInfo.priority));
      on.task('parent', { bind: true }, async () => void (await child.delay()));
    },
    { taskInheritParentPriority: true },
  );
  await app.send('parent', [], { priority: 7 });
  await eventually(() => seen.length === 1, 'the child ran');
  expect(seen).toEqual([7]);
});

test('a retry keeps everything that belongs to the task', async () => {
  const requests: Record<string, unknown>[] = [];
  const app = await start((on) => {
    on.task('after', () => 1);
    on.task('again', { bind: true }, (ctx, x: number) => {
      const {
        retries: _,
        eta: __,
        args,
        kwargs,
        hostname: ___,
        deliveryInfo,
        properties: ____,
        origin,
        ...rest
      } = ctx.request;
      requests.push({
        ...rest,
        args,
        kwargs,
        origin,
        exchange: deliveryInfo.exchange,
        routingKey: deliveryInfo.routingKey,
        priority: deliveryInfo.priority,
      });
      if (ctx.retries === 0) throw ctx.retry({ countdown: 0 });
      return x;
    });
  });
  const link = app.signature({
    task: 'after',
    args: [],
    kwargs: {},
    options: {},
    subtask_type: null,
    immutable: true,
  } as never);
  const handle = await app.send('again', [5], {
    priority: 4,
    headers: { tenant: 'acme' },
    link,
    linkError: link,
    timeLimit: '60s',
    softTimeLimit: '50s',
    shadow: 'other',
    expires: '1h',
    groupId: 'group',
    rootId: 'root',
    parentId: 'parent',
  });
  expect(await handle.get({ timeout: '10s' })).toBe(5);
  expect(requests).toHaveLength(2);
  expect(requests[1]).toEqual(requests[0]);
  expect(requests[0]).toMatchObject({ group: 'group', parentId: 'parent', shadow: 'other', timelimit: [60, 50] });
});

test('a retry that cannot be published is not acknowledged as one', async () => {
  let runs = 0;
  const problems: unknown[] = [];
  const app = await start(
    (on) => {
      on.task('again', { bind: true }, (ctx) => {
        runs++;
        if (ctx.retries > 0) return 'done';
        const publish = on.publisher.publish.bind(on.publisher);
        if (runs === 1) {
          on.publisher.publish = () => {
            on.publisher.publish = publish;
            return Promise.reject(new OperationalError('the broker is gone', { recoverable: true }));
          };
        }
        throw ctx.retry({ countdown: 0 });
      });
    },
    { taskAcksLate: true },
  );
  app.on('taskInternalError', ({ error }) => void problems.push(error));
  const handle = await app.send('again');
  const outcome = await handle.get({ timeout: '20s' }).catch((error: unknown) => error);
  // Repeated or failed, but neither lost nor left as RETRY.
  expect(outcome === 'done' || outcome instanceof Error).toBe(true);
  expect(await handle.state()).not.toBe('RETRY');
});

describe('signals', () => {
  const NAMES = ['taskReceived', 'taskPrerun', 'taskPostrun', 'taskSuccess', 'taskFailure', 'taskRetry'] as const;

  test('each is emitted once, in this order', async () => {
    const app = await start((on) => {
      on.task('works', () => 'value');
      on.task('fails', () => {
        throw new RangeError('no');
      });
      on.task('again', { bind: true }, (ctx) => {
        if (ctx.retries === 0) throw ctx.retry({ countdown: 0, cause: new Error('later') });
        return 2;
      });
    });
    const seen = new Map<string, [SignalName, unknown][]>();
    for (const name of NAMES) {
      app.on(name, (payload) => {
        const { sender } = payload;
        const what =
          'result' in payload
            ? payload.result
            : 'error' in payload
              ? payload.error
              : 'reason' in payload
                ? payload.reason
                : null;
        seen.set(sender, [...(seen.get(sender) ?? []), [name, what instanceof Error ? what.message : what]]);
      });
    }
    for (const name of ['works', 'fails', 'again'])
      await (await app.send(name)).get({ timeout: '10s', propagate: false });
    await eventually(() => (seen.get('again')?.length ?? 0) === 8, 'all signals');
    const run = [
      ['taskReceived', null],
      ['taskPrerun', null],
      ['taskPostrun', null],
    ];
    expect(seen.get('works')).toEqual([...run, ['taskSuccess', 'value']]);
    expect(seen.get('fails')).toEqual([...run, ['taskFailure', 'no']]);
    // The next run may begin before the signal of the retry: its message is sent first.
    const again = (seen.get('again') ?? []).map(([name]) => name);
    expect(again.sort()).toEqual([...NAMES.slice(0, 4), ...NAMES.slice(0, 3), 'taskRetry'].sort());
    expect(seen.get('again')).toContainEqual(['taskRetry', 'later']);
  });

  test('a revoked task says how', async () => {
    const app = await start((on) => void on.task('later', () => 1));
    const seen: unknown[] = [];
    app.on('taskRevoked', ({ sender, expired, terminated }) => void seen.push([sender, expired, terminated]));
    // Else the broker may drop it before the worker sees it.
    app.on('beforePublish', ({ properties }) => void delete properties['expiration']);
    const expired = await app.send('later', [], { countdown: '50ms', expires: '1ms' });
    await expired.get({ timeout: '10s', propagate: false });
    await eventually(() => seen.length > 0, 'the signal, which comes after the result');
    expect(seen).toEqual([['later', true, false]]);
  });

  test('handlers may be limited to a sender, to one call, replaced by id, and disconnected; errors stay theirs', async () => {
    const app = await start((on) => {
      on.task('a', () => 1);
      on.task('b', () => 1);
    });
    const seen: string[] = [];
    app.on('taskSuccess', () => {
      throw new Error('a handler fails');
    });
    app.on('taskSuccess', () => void seen.push('first of id'), { id: 'x' });
    app.on('taskSuccess', () => void seen.push('second of id'), { id: 'x', sender: 'a' });
    app.on('taskSuccess', () => void seen.push('once'), { once: true });
    const off = app.on('taskSuccess', () => void seen.push('off'));
    off();
    off();
    for (const name of ['a', 'b', 'a']) expect(await (await app.send(name)).get({ timeout: '10s' })).toBe(1);
    await eventually(() => seen.length === 3, 'three calls');
    expect(seen).toEqual(['second of id', 'once', 'second of id']);
  });
});
