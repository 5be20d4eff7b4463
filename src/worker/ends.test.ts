import { afterEach, expect, test } from 'vitest';
import { Ignore, Reject, type Celery } from '../index.ts';
import { silentLogger, type Logger } from '../runtime/logger.ts';
import { eventually } from '../testing/eventually.ts';
import { MemoryFleet } from '../testing/memory-fleet.ts';

/* What is told of a run, before it and after it: hooks, lines of the log, records, signals. */

const fleet = new MemoryFleet({ hostname: 'w@test', concurrency: 1 });
const start = fleet.start.bind(fleet);
afterEach(() => fleet.stop());

/** With one slot, what was sent before this has ended when it has. */
async function drained(app: Celery): Promise<void> {
  await (await app.send('celery.accumulate', [1])).get({ timeout: '10s' });
}

test('afterReturn comes after success and failure alone', async () => {
  const seen: string[] = [];
  const app = await start((on) => {
    const ends = on.task.bind(on);
    const hooks = (name: string) => ({ afterReturn: (state: string) => void seen.push(`${name} ${state}`) });
    ends('works', { hooks: hooks('works') }, () => 1);
    ends('fails', { hooks: hooks('fails') }, () => {
      throw new Error('no');
    });
    ends('ignores', { hooks: hooks('ignores') }, () => {
      throw new Ignore();
    });
    ends('rejects', { hooks: hooks('rejects'), acksLate: true }, () => {
      throw new Reject('no', { requeue: false });
    });
    ends('again', { hooks: hooks('again'), bind: true }, (ctx) => {
      if (ctx.retries === 0) throw ctx.retry({ countdown: 0 });
    });
  });
  for (const name of ['works', 'fails', 'ignores', 'rejects', 'again']) await app.send(name);
  await eventually(() => seen.length === 3, 'three runs have returned');
  await drained(app);
  expect(seen).toEqual(['works SUCCESS', 'fails FAILURE', 'again SUCCESS']);
});

test('an expected error is a line of information, any other an error', async () => {
  const lines: string[] = [];
  const note = (level: string) => (_: object, message: string) => void lines.push(`${level} ${message}`);
  const log: Logger = { ...silentLogger, info: note('info'), error: note('error'), child: () => log };
  class NotFound extends Error {}
  const app = await start(
    (on) => {
      on.task('looks', { throws: [NotFound] }, (expected: boolean) => {
        throw expected ? new NotFound('nothing there') : new Error('broken');
      });
    },
    { log },
  );
  for (const expected of [true, false]) {
    const handle = await app.send('looks', [expected]);
    await handle.get({ timeout: '10s', propagate: false });
    expect(await handle.state()).toBe('FAILURE');
  }
  await eventually(() => lines.some((line) => line.startsWith('error ')), 'both are logged');
  expect(lines.filter((line) => line.includes('raised'))).toEqual([
    'info task raised expected',
    'error task raised unexpected',
  ]);
});

test('STARTED says who runs it', async () => {
  let release = (): void => undefined;
  const app = await start((on) => {
    on.task('tracked', { trackStarted: true }, () => new Promise<void>((resolve) => (release = resolve)));
  });
  const handle = await app.send('tracked');
  await eventually(async () => (await handle.state()) === 'STARTED', 'it has started');
  expect((await (await app.backend()).load(handle.id))?.result).toEqual({ pid: process.pid, hostname: 'w@test' });
  release();
  await handle.get({ timeout: '10s' });
});

test('limits and ignored results: call before task before app', async () => {
  const seen: [readonly (number | null)[], boolean | null][] = [];
  const app = await start(
    (on) => {
      const note = { bind: true } as const;
      const limits = { timeLimit: '50s', softTimeLimit: '40s', ignoreResult: true } as const;
      on.task('plain', note, (ctx) => void seen.push([ctx.request.timelimit, ctx.request.ignoreResult]));
      on.task('limited', { ...note, ...limits }, (ctx) => {
        seen.push([ctx.request.timelimit, ctx.request.ignoreResult]);
      });
    },
    { taskTimeLimit: 9, taskIgnoreResult: false },
  );
  await (await app.send('plain')).get({ timeout: '10s' });
  const ignored = await app.send('limited');
  expect(await ignored.get()).toBeNull();
  const wanted = await app.send('limited', [], { timeLimit: '30s', softTimeLimit: '20s', ignoreResult: false });
  await wanted.get({ timeout: '10s' });
  expect(await (await app.backend()).load(ignored.id)).toBeUndefined();
  expect((await (await app.backend()).load(wanted.id))?.status).toBe('SUCCESS');
  expect(seen.map(([, ignore]) => ignore)).toEqual([false, true, false]);
  expect(seen[2]?.[0]).toEqual([30, 20]);
});

test('a limit of the app counts where neither call nor task has one, that of the task before it', async () => {
  const app = await start(
    (on) => {
      const hang = (): Promise<never> => new Promise(() => {});
      on.task('app', hang);
      on.task('task', { timeLimit: '60ms' }, hang);
    },
    { taskTimeLimit: 0.05 },
  );
  const handles = [await app.send('app'), await app.send('task'), await app.send('task', [], { timeLimit: '70ms' })];
  const errors = await Promise.all(
    handles.map((handle) => handle.get({ timeout: '20s' }).catch((error: unknown) => error)),
  );
  expect(errors.map((error) => (error as Error).message)).toEqual([
    expect.stringContaining('0.05'),
    expect.stringContaining('0.06'),
    expect.stringContaining('0.07'),
  ]);
});

test('taskInternalError says what the worker could not do', async () => {
  const app = await start((on) => void on.task('works', () => 'value'));
  const seen: unknown[] = [];
  app.on(
    'taskInternalError',
    ({ sender, taskId, error }) => void seen.push([sender, taskId, (error as Error).message]),
  );
  const backend = await app.backend();
  const store = backend.store.bind(backend);
  backend.store = (record) =>
    record.status === 'SUCCESS' && record.result === 'value' ? Promise.reject(new Error('disk full')) : store(record);
  const handle = await app.send('works');
  await expect(handle.get({ timeout: '10s' })).rejects.toThrow('disk full');
  await eventually(() => seen.length === 1, 'the signal');
  expect(seen).toEqual([['works', handle.id, 'disk full']]);
});

test('taskUnknown has the name and the id', async () => {
  const app = await start(() => {});
  const seen: unknown[] = [];
  app.on('taskUnknown', ({ sender, name, id }) => void seen.push([sender, name, id]));
  const handle = await app.send('nobody');
  await handle.get({ timeout: '10s', propagate: false });
  await eventually(() => seen.length === 1, 'the signal');
  expect(seen).toEqual([['w@test', 'nobody', handle.id]]);
});
