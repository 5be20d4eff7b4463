import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery, chord, group, RemoteError } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { pythonCalls, pythonResults, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';

/* Both sides speak MessagePack, bodies and results; and both see the same in one message. */

const reason = missing('redis') ?? missing('python');
const FORMAT = 'msgpack';

describe.skipIf(reason !== undefined)(`formats on Redis${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  let side: PythonSide;
  let python: PythonWorker;
  let app: Celery;
  let worker: Worker;

  beforeAll(async () => {
    redis = await startRedis();
    const config = {
      task_serializer: FORMAT,
      result_serializer: FORMAT,
      accept_content: ['json', FORMAT],
      result_accept_content: [FORMAT],
    };
    side = { broker: redis.url(0), backend: redis.url(1), config };
    python = await pythonWorker(side);
    app = new Celery({ ...config, broker: side.broker, backend: side.backend, env: {}, resultExtended: true });
    app.task('ts.echo', (value: unknown) => value);
    app.task('ts.fail', (text: string) => {
      throw new TypeError(text);
    });
    app.task('ts.fields', { bind: true }, (ctx, ..._args: unknown[]) => {
      const { deliveryInfo, hostname: _, properties: __, ...fields } = ctx.request;
      return { ...fields, deliveryInfo };
    });
    worker = new Worker(app, { queues: ['ts'], hostname: 'ts@test' });
    await worker.start();
  });

  afterAll(async () => {
    await worker?.stop('cold');
    await app?.close();
    await python?.[Symbol.asyncDispose]();
    await redis?.stop();
  });

  const VALUES: readonly unknown[] = [
    null,
    true,
    -1,
    2 ** 53 - 1,
    1.5,
    'ünï € 🎉',
    [1, [2, []]],
    { a: { b: [1, null] } },
  ];
  const BYTES = Uint8Array.of(0, 1, 255);

  test(`bodies and results as ${FORMAT}: we send, Python runs, we read`, async () => {
    const values = [...VALUES, BYTES, 2n ** 63n];
    const handles = await Promise.all(values.map((value) => app.send('py.echo', [value])));
    expect(await Promise.all(handles.map((handle) => handle.get({ timeout: '20s' })))).toEqual(values);
    const stored = await redis.client(1).getBuffer(`celery-task-meta-${handles[0]?.id}`);
    expect(stored?.subarray(1, 8).toString('latin1')).toBe('\xa6status');
    const failed = await app.send('py.fail', ['it broke']);
    const error: unknown = await failed.get({ timeout: '20s' }).catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({ type: 'ValueError', args: ['it broke'] });
  });

  test(`bodies and results as ${FORMAT}: Python sends, we run, Python reads`, async () => {
    const options = { queue: 'ts' };
    const calls = VALUES.map((value) => ({ name: 'ts.echo', args: [value], options }));
    const outcomes = await pythonCalls(side, [...calls, { name: 'ts.fail', args: ['from node'], options }]);
    expect(outcomes.slice(0, -1).map(({ value }) => value)).toEqual(VALUES);
    expect(outcomes.at(-1)).toMatchObject({ state: 'FAILURE', error: 'TypeError', args: ['from node'] });
  });

  test(`chords and saved groups in ${FORMAT}, members in both languages`, async () => {
    const both = (value: unknown) => [
      app.remoteTask<(value: unknown) => unknown>('py.echo').s(value),
      app.remoteTask<(value: unknown) => unknown>('ts.echo', { queue: 'ts' }).s(value),
    ];
    const members = [...both(1), ...both('two'), ...both([3])];
    for (const body of [
      app.remoteTask<(values: unknown[]) => unknown>('py.echo'),
      app.remoteTask<(values: unknown[]) => unknown>('ts.echo', { queue: 'ts' }),
    ]) {
      const handle = await chord(members, body.s()).delay();
      expect(await handle.get({ timeout: '30s' })).toEqual([1, 1, 'two', 'two', [3], [3]]);
    }
    const saved = await group(members).delay();
    await saved.save();
    const [restored] = (await pythonResults(side, [{ op: 'restore', id: saved.id }])) as [{ values: unknown[] }];
    expect(restored.values).toEqual([1, 1, 'two', 'two', [3], [3]]);
    expect(await (await app.restoreGroup(saved.id))?.get({ timeout: '10s' })).toEqual(restored.values);
  });

  test(`a success in ${FORMAT} is never overwritten, whoever wrote it`, async () => {
    const backend = await app.backend();
    for (const [task, queue] of [
      ['py.echo', 'celery'],
      ['ts.echo', 'ts'],
    ] as const) {
      const handle = await app.send(task, ['first'], { queue });
      expect(await handle.get({ timeout: '20s' })).toBe('first');
      await backend.store({
        taskId: handle.id,
        status: 'FAILURE',
        result: { exc_type: 'Error', exc_message: ['late'], exc_module: 'js' },
        traceback: null,
        children: [],
        dateDone: null,
      });
      expect(await app.result(handle.id).get({ timeout: '20s' })).toBe('first');
    }
  });

  test('Python reads the extended fields of what we ran', async () => {
    const handle = await app.send('ts.echo', ['x'], { queue: 'ts', headers: { tenant: 'acme' } });
    await handle.get({ timeout: '20s' });
    const [meta] = await pythonResults(side, [{ op: 'meta', id: handle.id }]);
    expect(meta).toMatchObject({
      status: 'SUCCESS',
      result: 'x',
      task_id: handle.id,
      name: 'ts.echo',
      args: ['x'],
      kwargs: {},
      worker: 'ts@test',
      retries: 0,
      queue: 'ts',
    });
  });

  test('a request has the same fields here and in Python', async () => {
    const sig = app
      .remoteTask<(value: unknown) => unknown>('ts.echo', { queue: 'aside' })
      .s(1)
      .set({ taskId: 'linked' });
    const options = {
      countdown: '1s',
      expires: '1h',
      timeLimit: '90s',
      softTimeLimit: '60s',
      priority: 3,
      shadow: 'other',
      headers: { tenant: 'acme' },
      ignoreResult: false,
      link: sig,
      rootId: 'the-root',
      parentId: 'the-parent',
      groupId: 'the-group',
      groupIndex: 4,
    } as const;
    const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const seen = await Promise.all(
      [
        ['py.fields', 'celery'],
        ['ts.fields', 'ts'],
      ].map(async ([task = '', queue = '']) => {
        const handle = await app.send<Record<string, unknown>>(task, [1, 'two'], {
          ...options,
          queue,
          kwargs: { k: null },
        });
        const fields = await handle.get({ timeout: '30s' });
        const { delivery_info: info, deliveryInfo = info, ...rest } = fields;
        const named = [...Object.entries(rest), ...Object.entries(deliveryInfo as object)].map(
          ([name, value]) => [snake(name), value] as const,
        );
        const text = JSON.stringify(Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1))));
        const plain = text
          .replaceAll(handle.id, 'ID')
          .replaceAll(`"${task}"`, '"TASK"')
          .replaceAll(`"${queue}"`, '"QUEUE"');
        return JSON.parse(plain) as Record<string, unknown>;
      }),
    );
    const [theirs, ours] = seen as [Record<string, unknown>, Record<string, unknown>];
    for (const one of [theirs, ours]) {
      // Sent one after the other: the moments differ by milliseconds.
      expect(String(one['eta'])).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/);
      expect(String(one['expires'])).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/);
      delete one['eta'];
      delete one['expires'];
    }
    expect(ours).toEqual(theirs);
    expect(Object.keys(ours).length).toBeGreaterThan(28);
  });
});
