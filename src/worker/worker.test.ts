import { afterEach, describe, expect, test } from 'vitest';
import { Celery, Ignore, Reject, type CeleryError, type CeleryOptions } from '../index.ts';
import { queue } from '../messaging/entity.ts';
import type { Message } from '../protocol/message.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { eventually } from '../testing/eventually.ts';
import type { Connection, Transport } from '../transports/transport.ts';
import type { WorkerOptions } from './options.ts';
import { Worker } from './worker.ts';

/* The whole worker on the in-process broker. */

const opened: { app: Celery; worker: Worker }[] = [];

async function start(
  define: (app: Celery) => void,
  options: CeleryOptions = {},
  workerOptions: WorkerOptions = {},
): Promise<{ app: Celery; worker: Worker }> {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, ...options });
  define(app);
  const worker = new Worker(app, { hostname: 'w@test', concurrency: 2, ...workerOptions });
  opened.push({ app, worker });
  await worker.start();
  return { app, worker };
}

afterEach(async () => {
  for (const { app, worker } of opened.splice(0)) {
    await worker.stop('cold');
    await app.close();
  }
});

const codeOf = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => undefined,
    (error: unknown) => (error as CeleryError).code,
  );

async function ready(app: Celery, name = 'celery'): Promise<number> {
  const connection = await (await app.transport()).connect();
  const size = await (await connection.channel()).size(name);
  await connection.close();
  return size;
}

describe('order of effects', () => {
  test('success: callback sent, result stored, message acknowledged', async () => {
    const order: string[] = [];
    const { app } = await start((app) => {
      app.task('next', (value: number) => void order.push(`next got ${value}`));
      app.task(
        'first',
        { hooks: { onSuccess: () => void order.push('onSuccess'), afterReturn: () => void order.push('afterReturn') } },
        () => {
          order.push('body');
          return 1;
        },
      );
      app.on('followUpSent', () => void order.push('callback sent'));
      app.on('taskSuccess', ({ sender }) => void (sender === 'first' && order.push('stored')), { sender: 'first' });
    });
    const next = app.signature({
      task: 'next',
      args: [],
      kwargs: {},
      options: {},
      subtask_type: null,
      immutable: false,
    });
    await (await app.send('first', [], { link: [next] as never })).get({ timeout: '5s' });
    await eventually(() => order.includes('next got 1') && order.includes('afterReturn'), 'everything ran');
    expect(order.filter((what) => what !== 'next got 1')).toEqual([
      'body',
      'callback sent',
      'onSuccess',
      'stored',
      'afterReturn',
    ]);
  });

  test('ignore stores nothing, reject without requeue stores a failure', async () => {
    const { app } = await start((app) => {
      app.task('ignored', () => {
        throw new Ignore();
      });
      app.task('rejected', () => {
        throw new Reject('not mine');
      });
    });
    const ignored = await app.send('ignored');
    expect(await codeOf((await app.send('rejected')).get({ timeout: '5s' }))).toBe('ERR_REMOTE');
    expect((await ignored.snapshot()).state).toBe('PENDING');
    expect(await ready(app)).toBe(0);
  });

  test('reject with requeue runs again', async () => {
    let runs = 0;
    const { app } = await start((app) => {
      app.task('again', () => {
        if (++runs === 1) throw new Reject('later', { requeue: true });
        return runs;
      });
    });
    expect(await (await app.send('again')).get({ timeout: '5s' })).toBe(2);
  });
});

describe('limits', () => {
  test('the soft limit aborts the signal', async () => {
    const { app } = await start((app) => {
      app.task('slow', { bind: true, softTimeLimit: '50ms' }, async (ctx) => {
        await new Promise((_, reject) =>
          ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error)),
        );
      });
    });
    const error: unknown = await (await app.send('slow')).get({ timeout: '5s' }).catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 'ERR_SOFT_TIME_LIMIT' });
  });

  test('the hard limit gives up and frees the slot', async () => {
    const { app, worker } = await start(
      (app) => {
        app.task('stuck', { timeLimit: '50ms' }, () => new Promise(() => {}));
        app.task('quick', () => 'ran');
      },
      {},
      { concurrency: 1 },
    );
    expect(await codeOf((await app.send('stuck')).get({ timeout: '5s' }))).toBe('ERR_TIME_LIMIT');
    expect(await (await app.send('quick')).get({ timeout: '5s' })).toBe('ran');
    expect(worker.active).toBe(0);
  });
});

describe('messages that never run', () => {
  const message = (body: string, more: Partial<Message> = {}): Message => ({
    body: new TextEncoder().encode(body),
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    headers: { task: 'known', id: `id-${Math.random()}` },
    properties: {},
    ...more,
  });

  test.each<[string, Message]>([
    ['no JSON', message('{')],
    ['two elements', message('[[], {}]')],
    ['a number', message('3')],
    ['an empty body', message('')],
    ['kwargs that are a list', message('[[], [], null]')],
    [
      'a content type that is not accepted',
      message('[[], {}, null]', { contentType: 'application/x-python-serialize' }),
    ],
    ['no content type', message('[[], {}, null]', { contentType: '' })],
    [
      'unknown compression',
      message('[[], {}, null]', { headers: { task: 'known', id: 'x', compression: 'application/nothing' } }),
    ],
    ['an ETA that is no time', message('[[], {}, null]', { headers: { task: 'known', id: 'x', eta: 'tomorrow' } })],
    ['time limits that are no pair', message('[[], {}, null]', { headers: { task: 'known', id: 'x', timelimit: 5 } })],
    ['no id', message('[[], {}, null]', { headers: { task: 'known' } })],
    ['no headers and no task', message('{"a": 1}', { headers: {} })],
    ['protocol 1 without id', message('{"task": "known", "args": []}', { headers: {} })],
  ])('%s is settled once, and the next message runs', async (_, poison) => {
    const rejected: unknown[] = [];
    const { app } = await start((app) => {
      app.task('known', () => 'ran');
      app.on('taskRejected', ({ error }) => void rejected.push(error));
    });
    await app.publisher.publishRaw(poison, { exchange: '', routingKey: 'celery' });
    expect(await (await app.send('known')).get({ timeout: '5s' })).toBe('ran');
    await eventually(() => rejected.length === 1, 'the poison was reported');
    expect(await ready(app)).toBe(0);
  });

  test('protocol 1 runs', async () => {
    const { app } = await start((app) => void app.task('known', (x: number) => x + 1));
    await app.publisher.publishRaw(
      message('{"task": "known", "id": "old", "args": [1], "kwargs": {}}', { headers: {} }),
      {
        exchange: '',
        routingKey: 'celery',
      },
    );
    expect(await app.result('old').get({ timeout: '5s' })).toBe(2);
  });

  test('an unknown task fails its caller', async () => {
    const { app } = await start(() => {});
    const error: unknown = await (await app.send('nobody')).get({ timeout: '5s' }).catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 'ERR_NOT_REGISTERED' });
  });
});

describe('ETA and expiry', () => {
  test('a near ETA is held and never early; a far one waits in the broker', async () => {
    const clock = new ManualClock();
    const ran: string[] = [];
    const { app } = await start((app) => void app.task('at', (name: string) => void ran.push(name)), { clock });
    await app.send('at', ['near'], { countdown: '10s' });
    await app.send('at', ['far'], { countdown: '10m' });
    await clock.advance('9900ms');
    expect(ran).toEqual([]);
    const scheduled = app.control.inspect({ timeout: '1s' }).scheduled();
    await clock.advance('50ms');
    await clock.advance('2s');
    expect((await scheduled)?.['w@test']?.length ?? 0).toBeLessThanOrEqual(1);
    expect(ran).toEqual(['near']);
    await clock.advance('9m');
    expect(ran).toEqual(['near']);
    await clock.advance('1m');
    expect(ran).toEqual(['near', 'far']);
  });

  test('a far ETA on a shared exchange runs once per queue', async () => {
    const clock = new ManualClock();
    let runs = 0;
    const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, clock });
    app.task('each', () => void runs++);
    const fanout = { kind: 'exchange', name: 'all', type: 'fanout', durable: true, autoDelete: false } as const;
    for (const name of ['one', 'two']) app.queues.add(queue(name, { exchange: fanout }));
    const worker = new Worker(app, { hostname: 'w@test', queues: ['one', 'two'] });
    opened.push({ app, worker });
    await worker.start();
    await app.send('each', [], { exchange: 'all', routingKey: 'any', countdown: '10m' });
    await clock.advance('11m');
    expect(runs).toBe(2);
  });

  test('an expired message is revoked and does not run', async () => {
    const clock = new ManualClock();
    let runs = 0;
    const { app } = await start((app) => void app.task('late', () => runs++), { clock });
    const handle = await app.send('late', [], { countdown: '10s', expires: '5s' });
    await clock.advance('11s');
    expect((await handle.snapshot()).state).toBe('REVOKED');
    expect(runs).toBe(0);
  });
});

describe('revoking', () => {
  test('before the start, and while it runs', async () => {
    let aborted: unknown;
    const { app } = await start((app) => {
      app.task('wait', { bind: true }, (ctx) => {
        ctx.signal.addEventListener('abort', () => (aborted = ctx.signal.reason));
        return new Promise(() => {});
      });
    });
    const held = await app.send('wait', [], { countdown: '20s' });
    const running = await app.send('wait');
    await eventually(() => opened[0]?.worker.active === 1, 'the task runs');
    await app.control.revoke(held.id);
    await app.control.revoke(running.id, { terminate: true });
    expect(await codeOf(held.get({ timeout: '5s' }))).toBe('ERR_TASK_REVOKED');
    expect(await codeOf(running.get({ timeout: '5s' }))).toBe('ERR_TASK_REVOKED');
    expect(aborted).toMatchObject({ code: 'ERR_TASK_REVOKED' });
  });

  test('a task terminated while STARTED is stored never runs', async () => {
    let runs = 0;
    const { app, worker } = await start((app) => void app.task('tracked', { trackStarted: true }, () => ++runs));
    const backend = await app.backend();
    const store = backend.store.bind(backend);
    let release = (): void => {};
    backend.store = async (record) => {
      if (record.status !== 'STARTED') return store(record);
      await new Promise<void>((resolve) => (release = resolve));
    };
    const handle = await app.send('tracked');
    await eventually(() => worker.active === 1, 'the task begins');
    await app.control.revoke(handle.id, { terminate: true, reply: true, timeout: '200ms' });
    release();
    expect(await codeOf(handle.get({ timeout: '5s' }))).toBe('ERR_TASK_REVOKED');
    expect(runs).toBe(0);
  });
});

describe('stopping', () => {
  test('warm: what runs finishes, the rest goes back', async () => {
    let finish: (() => void) | undefined;
    const { app, worker } = await start(
      (app) => void app.task('wait', () => new Promise<string>((resolve) => (finish = () => resolve('done')))),
      {},
      { concurrency: 1 },
    );
    const handles = await Promise.all([1, 2, 3].map(() => app.send('wait')));
    await eventually(() => finish !== undefined, 'one task runs');
    const stopped = worker.stop('warm');
    finish?.();
    await stopped;
    expect(await handles[0]?.get({ timeout: '5s' })).toBe('done');
    expect(await ready(app)).toBe(2);
  });

  test('a drain timeout returns what still runs', async () => {
    const { app, worker } = await start(
      (app) => void app.task('wait', () => new Promise(() => {})),
      {},
      { drainTimeout: '50ms' },
    );
    await app.send('wait');
    await eventually(() => worker.active === 1, 'the task runs');
    await worker.stop('warm');
    expect(await ready(app)).toBe(1);
  });

  test('a result store that never answers does not stop the stop', async () => {
    const { app, worker } = await start((app) => void app.task('quick', () => 1), {}, { drainTimeout: '50ms' });
    const backend = await app.backend();
    let asked = false;
    backend.store = () => {
      asked = true;
      return new Promise(() => {});
    };
    await app.send('quick');
    await eventually(() => asked, 'the result is being stored');
    await worker.stop('warm');
    expect(worker.isConsuming).toBe(false);
  });

  test('a stop while connecting leaves no connection behind', async () => {
    const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {} });
    const transport = await app.transport();
    let open: (() => void) | undefined;
    const connections: Connection[] = [];
    const slow: Transport = {
      name: transport.name,
      displayUrl: transport.displayUrl,
      capabilities: transport.capabilities,
      info: transport.info,
      connect: async () => {
        await new Promise<void>((resolve) => (open = resolve));
        const connection = await transport.connect();
        connections.push(connection);
        return connection;
      },
    };
    const late = new Celery({ broker: slow, backend: 'memory://', env: {} });
    const worker = new Worker(late);
    const starting = worker.start().catch(() => {});
    await eventually(() => open !== undefined, 'the worker connects');
    const stopped = worker.stop('cold');
    open?.();
    await stopped;
    await starting;
    expect(worker.isConsuming).toBe(false);
    for (const connection of connections) expect(await connection.closed).toBeUndefined();
    await late.close();
    await app.close();
  });
});
