import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery, CeleryError, RemoteError, type CeleryOptions } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { olderThan } from '../support/available.ts';
import { celeryCli, pythonCalls, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';
import { until } from '../support/until.ts';

/** Where both sides meet. */
export interface Meeting {
  readonly side: PythonSide;
  /** Settings of our app besides broker and backend. */
  readonly settings?: CeleryOptions;
  /** The record of a task as the backend has it. */
  stored(id: string): Promise<string | null>;
  /** Messages with an ETA wait in the broker, not in the worker that gets them. */
  readonly delays?: boolean;
  /** What the broker has to show once everything has run. */
  verify?(): Promise<void>;
  stop(): Promise<void>;
}

/** The same moment as a clock in Kolkata shows it. */
function india(ms: number): string {
  return `${new Date(ms + 5.5 * 3_600_000).toISOString().slice(0, 19)}+05:30`;
}

/*
 * Real Python Celery on the other side of a real broker. Python consumes the queue `celery`, we consume `ts`.
 */
export function interopMatrix(name: string, reason: string | undefined, meet: () => Promise<Meeting>): void {
  const old = olderThan(5, 3) !== undefined;
  const compressions = ['gzip', 'bzip2', 'lzma', 'brotli', ...(old ? [] : ['zstd'])];
  describe.skipIf(reason !== undefined)(
    `interop on ${name}${reason === undefined ? '' : ` (skipped: ${reason})`}`,
    () => {
      let meeting: Meeting;
      let side: PythonSide;
      let python: PythonWorker;
      let app: Celery;
      let worker: Worker;
      const ran: string[] = [];

      beforeAll(async () => {
        meeting = await meet();
        ({ side } = meeting);
        python = await pythonWorker(side);
        app = new Celery({ ...meeting.settings, broker: side.broker, backend: side.backend });
        app.task('ts.echo', (value: unknown) => value);
        app.task('ts.add', { params: ['x', 'y'] }, (x: number, y: number) => x + y);
        app.task('ts.fail', (text: string) => {
          throw new TypeError(text);
        });
        app.task('ts.flaky', { bind: true, maxRetries: 3 }, (ctx, times: number): number => {
          if (ctx.retries < times) throw ctx.retry({ countdown: '200ms', cause: new RangeError('not yet') });
          return ctx.retries;
        });
        app.task('ts.request', { bind: true }, (ctx) => ({
          id: ctx.request.id,
          origin: ctx.request.origin,
          rootId: ctx.request.rootId,
          argsrepr: ctx.request.argsrepr,
          headers: ctx.request.headers,
          priority: ctx.request.deliveryInfo.priority,
          eta: ctx.request.eta,
          started: Date.now() / 1000,
        }));
        app.task('ts.busy', async (path: string) => {
          await until(() => !existsSync(path), { message: 'the file is gone', timeoutMs: 60_000 });
          return 'done';
        });
        app.task('ts.ran', (id: string) => void ran.push(id));
        worker = new Worker(app, { queues: ['ts'], hostname: 'ts@test', concurrency: 10 });
        await worker.start();
      });

      afterAll(async () => {
        await worker?.stop('cold');
        await app?.close();
        await python?.[Symbol.asyncDispose]();
        await meeting?.stop();
      });

      const VALUES: readonly unknown[] = [
        null,
        true,
        0,
        -1,
        2 ** 31,
        2 ** 53 - 1,
        1.5,
        1e100,
        '',
        'plain',
        'ünïcödé € 漢字 🎉 \u2028 "quoted" \\ \n',
        [],
        [1, [2, [3, []]]],
        {},
        { a: { b: { c: [1, null, 'x'] } }, 'key with space': 1 },
      ];

      describe('we send, Python runs, we read', () => {
        test('every JSON value arrives and comes back', async () => {
          const handles = await Promise.all(VALUES.map((value) => app.send('py.echo', [value])));
          expect(await Promise.all(handles.map((handle) => handle.get({ timeout: '20s' })))).toEqual(VALUES);
        });

        test.skipIf(old)('types that JSON has not', async () => {
          const args = [2n ** 80n, NaN, Infinity, new Date('2026-01-02T03:04:05.678Z'), Uint8Array.of(1, 2, 255)];
          const handle = await app.send<[[string, unknown][], object]>('py.describe', args, {
            kwargs: { key: 'word' },
          });
          const [seen, kwargs] = await handle.get({ timeout: '20s' });
          expect(seen.map(([type]) => type)).toEqual(['int', 'float', 'float', 'datetime', 'bytes']);
          expect(seen[0]?.[1]).toBe(2n ** 80n);
          expect(seen[1]?.[1]).toBeNaN();
          expect(seen[2]?.[1]).toBe(Infinity);
          expect(Number(seen[3]?.[1])).toBe(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
          expect(Array.from(seen[4]?.[1] as Uint8Array)).toEqual([1, 2, 255]);
          expect(kwargs).toEqual({ key: 'str' });
        });

        test.each(compressions)('a body compressed with %s', async (compression) => {
          const text = 'long enough to be worth it '.repeat(200);
          const handle = await app.send('py.echo', [text], { compression });
          expect(await handle.get({ timeout: '20s' })).toBe(text);
        });

        test('a failure keeps type, message and traceback', async () => {
          const handle = await app.send('py.fail', ['it broke']);
          const error: unknown = await handle.get({ timeout: '30s' }).catch((failure: unknown) => failure);
          expect(CeleryError.is(error)).toBe(true);
          expect(error).toBeInstanceOf(RemoteError);
          const { type, module, args, traceback } = error as RemoteError;
          expect([type, module, args]).toEqual(['ValueError', 'builtins', ['it broke']]);
          expect(traceback).toContain('raise ValueError(');
        });

        test('retries, ids, headers, limits, ETA', async () => {
          expect(await (await app.send('py.flaky', [2])).get({ timeout: '20s' })).toBe(2);
          const beforeMs = Date.now();
          const handle = await app.send<Record<string, unknown>>('py.request', [], {
            taskId: 'my-own-id',
            countdown: '1s',
            timeLimit: '90s',
            softTimeLimit: '60s',
            headers: { tenant: 'acme' },
            priority: 3,
          });
          expect(handle.id).toBe('my-own-id');
          const seen = await handle.get({ timeout: '20s' });
          expect(seen).toMatchObject({ id: 'my-own-id', root_id: 'my-own-id', timelimit: [90, 60], priority: 3 });
          if (!old) expect(seen['headers']).toMatchObject({ tenant: 'acme' });
          expect(seen['origin']).toMatch(/^gen\d+@/);
          expect((seen['started'] as number) * 1000).toBeGreaterThanOrEqual(beforeMs + 1000);
        });

        test('an expired call is revoked', async () => {
          const handle = await app.send('py.echo', [1], { countdown: '1s', expires: '100ms' });
          const error: unknown = await handle.get({ timeout: '20s' }).catch((failure: unknown) => failure);
          expect((error as CeleryError).code).toBe('ERR_TASK_REVOKED');
        });

        test('nothing is stored when the result is ignored', async () => {
          const handle = await app.send('py.echo', [1], { ignoreResult: true });
          expect(await handle.get()).toBeNull();
          await until(() => python.log().includes(`[${handle.id}] succeeded`), { message: 'Python ran it' });
          expect(await meeting.stored(handle.id)).toBeNull();
        });

        test('an ETA is a date: never early, whatever the zone', async () => {
          const dueMs = Math.ceil((Date.now() + 1500) / 1000) * 1000;
          const handles = [
            await app.send<Record<string, unknown>>('py.request', [], { eta: new Date(dueMs) }),
            await app.send<Record<string, unknown>>('py.request', [], { eta: india(dueMs) }),
          ];
          for (const handle of handles) {
            const seen = await handle.get({ timeout: '20s' });
            expect(Date.parse(seen['eta'] as string)).toBe(dueMs);
            expect((seen['started'] as number) * 1000).toBeGreaterThanOrEqual(dueMs);
          }
        });
      });

      describe('Python sends, we run, Python reads', () => {
        const options = { queue: 'ts' };

        test('every JSON value arrives and comes back', async () => {
          const outcomes = await pythonCalls(
            side,
            VALUES.map((value) => ({ name: 'ts.echo', args: [value], options })),
          );
          expect(outcomes.map(({ value }) => value)).toEqual(VALUES);
          expect(new Set(outcomes.map(({ state }) => state))).toEqual(new Set(['SUCCESS']));
        });

        test('keywords, failures, retries, custom ids, headers, priority', async () => {
          const outcomes = await pythonCalls(side, [
            { name: 'ts.add', kwargs: { y: 2, x: 40 }, options },
            { name: 'ts.fail', args: ['from node'], options },
            { name: 'ts.flaky', args: [2], options },
            {
              name: 'ts.request',
              options: { ...options, task_id: 'py-own-id', headers: { tenant: 'acme' }, priority: 6 },
            },
          ]);
          expect(outcomes[0]).toMatchObject({ state: 'SUCCESS', value: 42 });
          expect(outcomes[1]).toMatchObject({ state: 'FAILURE', error: 'TypeError', args: ['from node'] });
          expect(outcomes[1]?.traceback).toContain('from node');
          expect(outcomes[2]).toMatchObject({ state: 'SUCCESS', value: 2 });
          expect(outcomes[3]).toMatchObject({
            id: 'py-own-id',
            value: { id: 'py-own-id', rootId: 'py-own-id', argsrepr: '()', priority: 6, headers: { tenant: 'acme' } },
          });
        });

        test.each(compressions)('a body compressed with %s', async (compression) => {
          const text = 'long enough to be worth it '.repeat(200);
          const [outcome] = await pythonCalls(side, [
            { name: 'ts.echo', args: [text], options: { ...options, compression } },
          ]);
          expect(outcome).toMatchObject({ state: 'SUCCESS', value: text });
        });

        test('countdown and expiry', async () => {
          const sentSeconds = Date.now() / 1000;
          const outcomes = await pythonCalls(side, [
            { name: 'ts.request', options: { ...options, countdown: 1 } },
            { name: 'ts.echo', args: [1], options: { ...options, countdown: 1, expires: 0.1 } },
          ]);
          const seen = outcomes[0]?.value as { started: number } | undefined;
          expect(seen?.started).toBeGreaterThanOrEqual(sentSeconds + 1);
          expect(outcomes[1]).toMatchObject({ state: 'REVOKED', error: 'TaskRevokedError' });
        });

        test('an unknown task fails at once', async () => {
          const [outcome] = await pythonCalls(side, [{ name: 'ts.nobody', options }]);
          expect(outcome).toMatchObject({ state: 'FAILURE', error: 'NotRegistered' });
        });

        test('an ignored result', async () => {
          await pythonCalls(side, [
            {
              name: 'ts.ran',
              args: ['ignored'],
              options: { ...options, ignore_result: true, task_id: 'ignored-by-python' },
              forget: true,
            },
          ]);
          await until(() => ran.includes('ignored'), { message: 'the task ran' });
          // What ran after it on the same backend connection is stored, so its own result would be too.
          await (await app.send('ts.echo', [1], { queue: 'ts' })).get({ timeout: '20s' });
          expect(await meeting.stored('ignored-by-python')).toBeNull();
        });

        test('an ETA is a date: never early, whatever the zone', async () => {
          const dueMs = Math.ceil((Date.now() + 2500) / 1000) * 1000;
          const zones = [`${new Date(dueMs).toISOString().slice(0, 19)}+00:00`, india(dueMs)];
          const outcomes = await pythonCalls(
            side,
            zones.map((eta) => ({ name: 'ts.request', options: { ...options, eta } })),
          );
          expect(outcomes).toHaveLength(2);
          for (const { value } of outcomes) {
            const seen = value as { readonly started: number; readonly eta: string };
            expect(Date.parse(seen.eta)).toBe(dueMs);
            expect(seen.started * 1000).toBeGreaterThanOrEqual(dueMs);
          }
        });
      });

      describe('celery’s own command line sees our worker', () => {
        test.each([
          'ping',
          'registered',
          'active',
          'reserved',
          'scheduled',
          'stats',
          'active_queues',
          'conf',
          'revoked',
        ])('inspect %s', async (command) => {
          const { stdout, code } = await celeryCli(side, 'inspect', command, '-d', 'ts@test', '-t', '5', '--json');
          expect(code).toBe(0);
          const answer = JSON.parse(stdout) as Record<string, unknown>;
          expect(Object.keys(answer)).toEqual(['ts@test']);
          if (command === 'ping') expect(answer['ts@test']).toEqual({ ok: 'pong' });
          if (command === 'registered') expect(answer['ts@test']).toContain('ts.echo');
          if (command === 'stats') expect(answer['ts@test']).toMatchObject({ pid: process.pid, prefetch_count: 40 });
        });

        test.each([
          ['ts@test', 'ts.busy', 'ts', 10],
          ['py@test', 'py.busy', 'celery', 2],
        ])(
          '%s shows tasks that are active, reserved and scheduled',
          { timeout: 60_000 },
          async (node, task, queue, slots) => {
            const folder = mkdtempSync(join(tmpdir(), 'celeriac-busy-'));
            const path = join(folder, 'wait');
            writeFileSync(path, '');
            const send = () => app.send(task, [path], { queue });
            const handles = [];
            try {
              for (let i = 0; i < slots + 1; i++) handles.push(await send());
              const later = await app.send(task, [path], { queue, countdown: '20s', expires: '1h' });
              const held = meeting.delays === true ? [] : [later.id];
              const inspect = () => app.control.inspect({ timeout: '3s', destination: [node] });
              const idsOf = (list: unknown): string[] =>
                (list as { readonly id?: string; readonly request?: { readonly id: string } }[]).map(
                  (one) => one.request?.id ?? one.id ?? '',
                );
              const seenByUs = async () => ({
                active: idsOf((await inspect().active())?.[node] ?? []),
                reserved: idsOf((await inspect().reserved())?.[node] ?? []),
                scheduled: idsOf((await inspect().scheduled())?.[node] ?? []),
              });
              const seen = await until(
                async () => {
                  const now = await seenByUs();
                  return now.active.length === slots && now.scheduled.length === held.length ? now : undefined;
                },
                { message: 'every slot is taken', timeoutMs: 30_000 },
              );
              const active = handles.slice(0, slots).map(({ id }) => id);
              expect(seen.active.sort()).toEqual(active.sort());
              expect(seen.reserved).toContain(handles[slots]?.id);
              expect(seen.scheduled).toEqual(held);
              for (const command of ['active', 'reserved', 'scheduled'] as const) {
                const { stdout } = await celeryCli(side, 'inspect', command, '-d', node, '-t', '5', '--json');
                const answer = JSON.parse(stdout) as Readonly<Record<string, unknown>>;
                expect(idsOf(answer[node]).sort()).toEqual(seen[command].sort());
              }
              await later.revoke();
            } finally {
              rmSync(folder, { recursive: true });
            }
            expect(await Promise.all(handles.map((handle) => handle.get({ timeout: '30s' })))).toEqual(
              handles.map(() => 'done'),
            );
          },
        );

        test('status lists both', async () => {
          const { stdout } = await celeryCli(side, 'status', '-t', '5');
          expect(stdout).toContain('ts@test: OK');
          expect(stdout).toContain('py@test: OK');
          expect(stdout).toContain('2 nodes online.');
        });

        test('we inspect Python', async () => {
          const answer = await app.control.inspect({ timeout: '3s', destination: ['py@test'] }).registered();
          expect(answer?.['py@test']).toContain('py.echo');
        });

        test('a task is revoked by Python before it runs here', async () => {
          const handle = await app.send('ts.ran', ['revoked'], { queue: 'ts', countdown: '8s' });
          const { code } = await celeryCli(side, 'control', 'revoke', handle.id);
          expect([0, 69]).toContain(code);
          const error: unknown = await handle.get({ timeout: '20s' }).catch((failure: unknown) => failure);
          expect((error as CeleryError).code).toBe('ERR_TASK_REVOKED');
          expect(ran).not.toContain('revoked');
        });
      });

      test('the broker has what was asked for', async () => {
        await meeting.verify?.();
      });
    },
  );
}
