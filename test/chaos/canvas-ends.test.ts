import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  Celery,
  chain,
  chord,
  group,
  Ignore,
  Reject,
  type AnySignature,
  type AsyncResult,
  type GroupResult,
  type TaskContext,
} from '../../src/index.ts';
import { freeze } from '../../src/canvas/freeze.ts';
import { plan } from '../../src/canvas/plan.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { until } from '../support/until.ts';

/*
 * Whatever becomes of a chord's members and of its body: whoever waits is told, and nobody is told twice.
 */

const timeout = '30s';

type Step = (...args: unknown[]) => AnySignature;

interface Fleet {
  readonly app: Celery;
  /** Bodies that ran, by their label. */
  readonly bodies: Map<string, number>;
  /** Errbacks that ran, by the id they were given. */
  readonly errbacks: Map<string, number>;
  step(name: string): Step;
  close(): Promise<void>;
}

async function fleet(url: string): Promise<Fleet> {
  const app = new Celery({ broker: url, backend: url, env: {}, taskRoutes: { 'late.*': { queue: 'nobody' } } });
  const bodies = new Map<string, number>();
  const errbacks = new Map<string, number>();
  app.task('one', (value: unknown) => value);
  app.task(
    'boom',
    raising(() => new RangeError('boom')),
  );
  app.task(
    'skip',
    raising(() => new Ignore('not today')),
  );
  app.task(
    'refuse',
    raising(() => new Reject('no', { requeue: false })),
  );
  app.task('odd', () => ({ fn: () => 1 }));
  app.task('slow', { bind: true, timeLimit: '300ms' }, (ctx: TaskContext) => ended(ctx.signal));
  app.task('wait', { bind: true }, (ctx: TaskContext) => ended(ctx.signal));
  app.task('again', { bind: true, maxRetries: 2 }, (ctx: TaskContext, value: unknown) => {
    if (ctx.retries < 2) throw ctx.retry({ countdown: 0 });
    return value;
  });
  app.task('swap', { bind: true }, async (ctx: TaskContext, name: string) => {
    throw await ctx.replace(app.remoteTask<(value: unknown) => unknown>(name).si('swapped'));
  });
  app.task('body', (values: unknown, label: string) => {
    bodies.set(label, (bodies.get(label) ?? 0) + 1);
    return values;
  });
  app.task('note', (id: string) => void errbacks.set(id, (errbacks.get(id) ?? 0) + 1));
  const worker = new Worker(app, { concurrency: 16 });
  await worker.start();
  return {
    app,
    bodies,
    errbacks,
    step: (name) => {
      const task = app.remoteTask<(...args: unknown[]) => unknown>(name);
      return (...args) => task.s(...args) as unknown as AnySignature;
    },
    close: async () => {
      await worker.stop('cold');
      await app.close();
    },
  };
}

function raising(make: () => Error): (...args: unknown[]) => never {
  return (...args) => {
    void args;
    throw make();
  };
}

function ended(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
}

const send = (signature: AnySignature): Promise<AsyncResult<unknown>> =>
  (signature as unknown as { delay(): Promise<AsyncResult<unknown>> }).delay();
const chorded = chord as unknown as (header: readonly AnySignature[], body: AnySignature) => AnySignature;
const chained = chain as unknown as (...steps: AnySignature[]) => AnySignature;

interface Store {
  readonly name: string;
  readonly reason: string | undefined;
  open(): Promise<{ readonly url: string; close(): Promise<void> }>;
}

const STORES: readonly Store[] = [
  {
    name: 'Redis',
    reason: missing('redis'),
    open: async () => {
      const server: RedisServer = await startRedis();
      return { url: server.url(), close: () => server.stop() };
    },
  },
  {
    name: 'SQLite',
    reason: undefined,
    open: async () => {
      const folder = mkdtempSync(join(tmpdir(), 'celeriac-canvas-'));
      return {
        url: `sqlite:///${join(folder, 'celeriac.db')}`,
        close: async () => rmSync(folder, { recursive: true, force: true }),
      };
    },
  },
];

describe.each(STORES)('chords end on $name', ({ reason, open }) => {
  describe.skipIf(reason !== undefined)(reason === undefined ? 'all of them' : `(skipped: ${reason})`, () => {
    let store: Awaited<ReturnType<Store['open']>>;
    let on: Fleet;
    let labels = 0;
    const body = (): AnySignature => on.step('body')(`body ${++labels}`);
    const step = (name: string, ...args: unknown[]): AnySignature => on.step(name)(...args);

    beforeAll(async () => {
      store = await open();
      on = await fleet(store.url);
    });

    afterAll(async () => {
      await on?.close();
      await store?.close();
    });

    const FAILING: readonly (readonly [string, () => AnySignature, RegExp])[] = [
      ['fails', () => step('boom'), /RangeError\('boom'\)/],
      ['ends a chain that failed before it', () => chained(step('boom'), step('one'), step('one')), /RangeError/],
      ['is unknown here', () => step('nobody'), /NotRegistered\('nobody'\)/],
      ['throws Ignore', () => step('skip'), /Ignore\('not today'\)/],
      ['comes after a step that throws Ignore', () => chained(step('skip'), step('one')), /Ignore\('not today'\)/],
      ['is refused for good', () => step('refuse'), /Reject\('no'\)/],
      ['returns what cannot be stored', () => step('odd'), /EncodeError/],
      ['takes longer than it may', () => step('slow'), /TimeLimitExceeded/],
      ['has expired', () => late(step('one', 'x')), /TaskRevokedError\('expired'\)/],
      ['ends a chain in which one has expired', () => chained(late(step('one', 'x')), step('one')), /'expired'/],
      ['is replaced by one that fails', () => step('swap', 'boom'), /RangeError/],
      ['is replaced by one that is ignored', () => step('swap', 'skip'), /Ignore/],
      ['is a chord whose member fails', () => chorded([step('boom'), step('one', 1)], step('one')), /ChordError/],
      ['is a chord whose body fails', () => chorded([step('one', 1)], step('boom')), /RangeError/],
      [
        'is the end of a chain behind a chord whose member fails',
        () => chained(chorded([step('boom'), step('one', 1)], step('one')), step('one')),
        /ChordError/,
      ],
      [
        'is three chords deep',
        () => chorded([chorded([chorded([step('boom')], step('one'))], step('one'))], step('one')),
        /ChordError/,
      ],
    ];

    test.each(FAILING)('with an error, when a member %s', async (_, member, message) => {
      const label = `body ${++labels}`;
      const last = on.step('body')(label) as unknown as { linkError(errback: unknown): AnySignature };
      const signature = chorded([step('one', 1), member(), step('one', 2)], last.linkError(step('note')));
      const result = await send(signature);
      await expect(result.get({ timeout })).rejects.toThrow(message);
      await expect(result.get()).rejects.toMatchObject({ code: 'ERR_CHORD' });
      await until(() => on.errbacks.has(result.id), { message: 'the errback of the body ran' });
      expect([on.errbacks.get(result.id), on.bodies.get(label)]).toEqual([1, undefined]);
    });

    test('with an error, when a member is revoked, waiting or running', async () => {
      const waiting = group([step('one', 1), withOptions(step('one', 2), { countdown: '25s' })]);
      const running = group([step('one', 1), step('wait')]);
      for (const [members, terminate] of [
        [waiting, false],
        [running, true],
      ] as const) {
        const result = await send(chained(members as unknown as AnySignature, body()));
        const member = (result.parent as unknown as GroupResult<unknown[]>).results[1] as AsyncResult<unknown>;
        await member.revoke({ terminate });
        await expect(result.get({ timeout })).rejects.toThrow(/TaskRevokedError\('(?:revoked|terminated)'\)/);
      }
    });

    const FAILING_BODIES: readonly (readonly [string, () => AnySignature, RegExp])[] = [
      ['fails', () => step('boom'), /boom/],
      ['is unknown', () => step('nobody'), /nobody/],
      ['is ignored and followed', () => chained(step('skip'), step('one')), /not today/],
      ['is a chain whose first step fails', () => chained(step('boom'), step('one')), /boom/],
      ['is a chord whose member fails', () => chorded([step('boom')], step('one')), /boom/],
    ];

    test.each(FAILING_BODIES)('with the error of the body, when it %s', async (_, last, message) => {
      const result = await send(chorded([step('one', 1), step('one', 2)], last()));
      await expect(result.get({ timeout })).rejects.toThrow(message);
    });

    const ENDING: readonly (readonly [string, () => AnySignature, unknown])[] = [
      ['a header of one', () => chorded([step('one', 1)], body()), [1]],
      ['an empty header', () => chorded([], body()), []],
      [
        'members that are retried',
        () => chorded([step('again', 1), step('one', 2), step('again', 3)], body()),
        [1, 2, 3],
      ],
      ['a replaced member', () => chorded([step('swap', 'one'), step('one', 2)], body()), ['swapped', 2]],
      [
        'chords in chords',
        () => chorded([chorded([chorded([step('one', 1)], step('one')), step('one', 2)], step('one'))], body()),
        [[[1], 2]],
      ],
      [
        'chords in chains in chords',
        () =>
          chorded(
            [chained(step('one', 0), chorded([step('one'), step('one')], step('one')), step('one')), step('one', 3)],
            body(),
          ),
        [[0, 0], 3],
      ],
      ['empty headers in headers', () => chorded([chorded([], step('one')), step('one', 1)], body()), [[], 1]],
      [
        'a header of groups',
        () => chorded([grouped(step('one', 1), grouped(step('one', 2), step('one', 3))), step('one', 4)], body()),
        [1, 2, 3, 4],
      ],
    ];

    test.each(ENDING)('with the values in order: %s', async (_, signature, values) => {
      const result = await send(signature());
      expect(await result.get({ timeout })).toEqual(values);
      expect(on.bodies.get(`body ${labels}`)).toBe(1);
    });

    test('once, when every member is delivered twice', async () => {
      const { app } = on;
      const label = `body ${++labels}`;
      const signature = chorded([step('one', 'a'), step('again', 'b'), step('one', 'c')], on.step('body')(label));
      const ids = { uuid: () => app.random.uuid(), oid: app.oid };
      const { calls, chords, result } = plan(freeze(signature.toJSON(), ids).dict, {}, ids);
      const { chords: counts } = await app.backend();
      for (const { groupId, size, group: members } of chords) await counts?.begin(groupId, size, members);
      for (const call of calls) await Promise.all([app.publisher.publish(call, {}), app.publisher.publish(call, {})]);
      const handle = app.resultFrom(result);
      expect(await handle.get({ timeout })).toEqual(['a', 'b', 'c']);
      for (const call of calls) await app.publisher.publish(call, {});
      // Whatever still comes is over once a task that was sent later has run as often.
      expect(await (await app.send('again', ['over'])).get({ timeout })).toBe('over');
      expect(on.bodies.get(label)).toBe(1);
    });
  });
});

const grouped = (...members: AnySignature[]): AnySignature => group(members) as unknown as AnySignature;

function withOptions(signature: AnySignature, options: object): AnySignature {
  return (signature as unknown as { set(options: object): AnySignature }).set(options);
}

const late = (signature: AnySignature): AnySignature => withOptions(signature, { countdown: '200ms', expires: '50ms' });
