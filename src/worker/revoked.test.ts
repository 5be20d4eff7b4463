import { expect, test } from 'vitest';
import { Celery } from '../index.ts';
import type { TaskHeaders } from '../protocol/task-message.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { revokeLimits } from './options.ts';
import { RevokedIds } from './revoked.ts';
import { Worker } from './worker.ts';

test('so many ids are kept, the newest; a repeated one is new again', () => {
  const revoked = new RevokedIds(new ManualClock(), { max: 3 });
  for (const id of ['a', 'b', 'c', 'a', 'd']) revoked.add(id);
  expect(revoked.list()).toEqual(['c', 'a', 'd']);
  expect(['a', 'b'].map((id) => revoked.has(id))).toEqual([true, false]);
});

test('ids are forgotten when they are old, those of others by the age they came with', async () => {
  const clock = new ManualClock();
  const revoked = new RevokedIds(clock);
  revoked.add('of another worker', 10_000_000);
  revoked.add('mine');
  await clock.advance('1000s');
  expect(revoked.list()).toEqual(['mine']);
  await clock.advance('3h');
  expect(revoked.list()).toEqual([]);
  expect(revoked.has('mine')).toBe(false);
});

test('the environment says how many and for how long, as Celery’s', () => {
  expect(revokeLimits({})).toEqual({ max: undefined, lifetimeMs: undefined });
  expect(revokeLimits({ CELERY_WORKER_REVOKES_MAX: '5', CELERY_WORKER_REVOKE_EXPIRES: '1.5' })).toEqual({
    max: 5,
    lifetimeMs: 1_500,
  });
  expect(() => revokeLimits({ CELERY_WORKER_REVOKES_MAX: 'many' })).toThrow('expected a number, got "many"');
});

test('stamps: one value or a list, on either side', () => {
  const revoked = new RevokedIds(new ManualClock());
  const stamped = (stamps: Record<string, unknown>): TaskHeaders =>
    ({ id: 'i', stamped_headers: Object.keys(stamps), stamps }) as unknown as TaskHeaders;
  revoked.addStamp('tenant', ['x', 'y']);
  revoked.addStamp('batch', 7);
  const covered = [{ tenant: 'x' }, { tenant: ['z', 'y'] }, { tenant: 'z' }, { batch: [7] }, { other: 'x' }, {}];
  expect(covered.map((stamps) => revoked.covers(stamped(stamps)))).toEqual([true, true, false, true, false, false]);
});

test('revokeByStamp keeps what carries the stamp from running, and ends what runs', async () => {
  await using app = new Celery({ broker: 'memory://', backend: 'memory://', env: {} });
  const ran: string[] = [];
  const task = app.task('stamped', { bind: true }, async (ctx, name: string) => {
    ran.push(name);
    if (name === 'running') {
      await new Promise((_, fail) => ctx.signal.addEventListener('abort', () => fail(ctx.signal.reason as Error)));
    }
    return name;
  });
  await using worker = new Worker(app, { hostname: 'w@stamps', concurrency: 4 });
  await worker.start();
  const send = (name: string, stamps: Record<string, string | string[]>, countdown = 0) =>
    task.s(name).stamp(stamps).applyAsync([], { countdown });
  const running = await send('running', { tenant: 'x' });
  const held = await send('held', { tenant: ['w', 'x'] }, 20_000);
  await expect.poll(() => [worker.active, worker.vitals?.held], { timeout: 10_000 }).toEqual([1, 1]);
  await app.control.revokeByStamp({ tenant: ['x', 'v'] }, { terminate: true, reply: true, limit: 1 });
  await expect(running.get({ timeout: '10s' })).rejects.toMatchObject({ code: 'ERR_TASK_REVOKED' });
  const late = await send('late', { tenant: 'v' });
  await expect(late.get({ timeout: '10s' })).rejects.toMatchObject({ code: 'ERR_TASK_REVOKED' });
  const other = await send('other', { tenant: 'z' });
  expect(await other.get({ timeout: '10s' })).toBe('other');
  await expect(held.get({ timeout: '10s' })).rejects.toMatchObject({ code: 'ERR_TASK_REVOKED' });
  expect(ran).toEqual(['running', 'other']);
});
