import { afterEach, expect, test } from 'vitest';
import type { Celery } from '../index.ts';
import { MemoryFleet } from '../testing/memory-fleet.ts';

/* Commands of remote control on the in-process broker; replies are those of the recorded Python worker. */

const fleet = new MemoryFleet({ hostname: 'w1@HOST', concurrency: 2 });
const start = fleet.start.bind(fleet);
afterEach(() => fleet.stop());

async function answer(app: Celery, command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
  return (await app.control.broadcast(command, args, { reply: true, limit: 1, timeout: '5s' }))[0]?.value;
}

test('stamps are revoked in Celery’s words; wrong arguments are refused in Python’s', async () => {
  const app = await start(() => {});
  expect(await answer(app, 'revoke_by_stamped_headers', { headers: { mid: ['a', 'b'] }, terminate: false })).toEqual({
    ok: "headers {'mid': ['a', 'b']} flagged as revoked, but not terminated",
  });
  expect(await answer(app, 'revoke_by_stamped_headers', { headers: { mid: ['a'] }, terminate: true })).toEqual({
    ok: "headers {'mid': ['a']} were not terminated",
  });
  expect(await answer(app, 'rate_limit', { nonsense: 1 })).toEqual({
    error: "TypeError(\"rate_limit() missing 2 required positional arguments: 'task_name' and 'rate_limit'\")",
  });
  expect(await answer(app, 'active_queues', { zz: 1 })).toEqual({
    error: 'TypeError("active_queues() got an unexpected keyword argument \'zz\'")',
  });
  expect(await answer(app, 'memdump')).toMatch(/^- rss \(sample\):\n- {4}> [\d.]+MB,\n- rss \(end\): [\d.]+MB\.\n/);
});

test('a task held for its time is REVOKED at once, and no longer held', async () => {
  const app = await start((app) => app.task('later', () => 1));
  const handle = await app.send('later', [], { countdown: '20s' });
  const scheduled = async (): Promise<number> => ((await answer(app, 'scheduled')) as unknown[]).length;
  await expect.poll(scheduled, { timeout: 10_000 }).toBe(1);
  expect(await answer(app, 'revoke', { task_id: handle.id, terminate: true })).toEqual({
    ok: `terminate: ${handle.id}`,
  });
  await expect(handle.get({ timeout: '10s' })).rejects.toMatchObject({ code: 'ERR_TASK_REVOKED' });
  expect(await scheduled()).toBe(0);
});

test('commands of the app’s own', async () => {
  const app = await start((app) => {
    app.controlCommand('set_level', { args: { level: 'string' } }, (worker, { level }) => ({
      ok: `${worker.hostname} ${level}`,
    }));
    app.inspectCommand('nothing', {}, () => undefined);
  });
  expect(await answer(app, 'set_level', { level: 'debug' })).toEqual({ ok: 'w1@HOST debug' });
  expect(await answer(app, 'nothing')).toBeNull();
  expect(await answer(app, 'toString')).toEqual({ error: "KeyError('toString')" });
  expect(() => app.controlCommand('nothing', {}, () => null)).toThrow('defined twice');
});
