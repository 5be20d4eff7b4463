import { expect, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { chord, group, Celery, NotSupported } from '../index.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { silentLogger } from '../runtime/logger.ts';
import { systemRandom } from '../runtime/random.ts';
import { Worker } from '../worker/index.ts';
import { createTransport } from '../transports/memory.ts';
import { systemClock } from '../runtime/clock.ts';
import { Unread } from './rpc/unread.ts';
import { openBackend } from './drivers.ts';

const context = { clock: systemClock, random: systemRandom(), log: silentLogger };

/** A client and a worker of one broker. */
async function pair(settings: object = {}) {
  const broker = createTransport('memory://', {}, context);
  const make = (): Celery => new Celery({ ...settings, broker, backend: 'rpc://', log: silentLogger });
  const [client, served] = [make(), make()];
  const worker = new Worker(served, { concurrency: 2 });
  return {
    broker,
    client,
    served,
    worker,
    async [Symbol.asyncDispose]() {
      await worker.stop('cold');
      await Promise.all([client.close(), served.close()]);
    },
  };
}

test('values, failures, states of the task’s own and results asked for late reach who sent the task', async () => {
  await using it = await pair();
  it.served.task('t.double', (value: number) => value * 2);
  it.served.task('t.fail', () => {
    throw new RangeError('no');
  });
  it.served.task('t.steps', { bind: true }, async (ctx) => {
    await ctx.progress(1, 2);
    return 'done';
  });
  await it.worker.start();
  expect(await (await it.client.send('t.double', [21])).get({ timeout: '10s' })).toBe(42);
  await expect((await it.client.send('t.fail')).get({ timeout: '10s' })).rejects.toThrow('no');
  const steps = await it.client.send('t.steps');
  const seen: string[] = [];
  for await (const { state } of steps.updates({ signal: AbortSignal.timeout(10_000) })) seen.push(state);
  expect(seen.at(-1)).toBe('SUCCESS');
  const late = await it.client.send('t.double', [1]);
  await until(async () => (await late.state()) === 'SUCCESS', { message: 'the result has arrived' });
  expect(await it.client.result(late.id).get({ timeout: '10s' })).toBe(2);
  await expect((await it.client.send('t.unknown')).get({ timeout: '10s' })).rejects.toThrow('t.unknown');
  await late.forget();
  expect(await late.state()).toBe('PENDING');
});

test('a second reader gets nothing, and so does who ignores results', async () => {
  await using it = await pair();
  it.served.task('t.one', () => 1);
  await it.worker.start();
  const handle = await it.client.send('t.one');
  expect(await handle.get({ timeout: '10s' })).toBe(1);
  expect(await it.served.result(handle.id).state()).toBe('PENDING');
  expect(await (await it.client.send('t.one', [], { ignoreResult: true })).get()).toBeNull();
});

test('groups and chains work; chords and saved groups are refused', async () => {
  await using it = await pair();
  it.served.task('t.double', (value: number) => value * 2);
  const double = it.client.remoteTask<(value: number) => number>('t.double');
  const list = it.client.remoteTask<(values: number[]) => number>('t.list');
  await it.worker.start();
  const members = await group([double.s(1), double.s(2)]).delay();
  expect(await members.get({ timeout: '10s' })).toEqual([2, 4]);
  expect(await (await double.s(1).pipe(double.s()).delay()).get({ timeout: '10s' })).toBe(4);
  await expect(chord([double.s(1), double.s(2)], list.s()).delay()).rejects.toThrow(NotSupported);
  await expect(members.save()).rejects.toThrow(/rpc:\/\//);
  await expect(it.client.restoreGroup('any')).rejects.toThrow(/rpc:\/\//);
});

test('without an app it is refused', async () => {
  await expect(openBackend('rpc://', { expiresMs: null, transportOptions: {} }, context)).rejects.toThrow(
    'works with the broker of an app alone',
  );
});

test('unread results are bounded in number, bytes and age', async () => {
  const clock = new ManualClock();
  const unread = new Unread(1000, { ...context, clock }, { records: 3, bytes: 100 });
  const record = (taskId: string, status = 'SUCCESS') => ({
    ...{ taskId, status, result: null, traceback: null, children: [], dateDone: null },
  });
  for (const id of ['a', 'b', 'c', 'd']) unread.put(record(id), 10);
  expect(['a', 'b', 'c', 'd'].map((id) => unread.get(id)?.taskId)).toEqual([undefined, 'b', 'c', 'd']);
  unread.put(record('e'), 90);
  expect(['b', 'c', 'd', 'e'].map((id) => unread.get(id)?.taskId)).toEqual([undefined, undefined, 'd', 'e']);
  expect(unread.put(record('e', 'FAILURE'), 10)).toBe(false);
  expect(unread.get('e')?.status).toBe('SUCCESS');
  await clock.advance(1001);
  expect(unread.get('e')).toBeUndefined();
});
