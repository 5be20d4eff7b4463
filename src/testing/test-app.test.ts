import { expect, test, vi } from 'vitest';
import { eagerApp, ManualClock, recordSent, sentMatchers, taskMessage, testApp, testWorker } from './index.ts';

expect.extend(sentMatchers);

interface Sent {
  toHaveSent(task: string, expected?: object): void;
}
const sentOf = (value: unknown): Sent => expect(value) as unknown as Sent;

test('a worker of an app in memory runs what is sent, and stops', async () => {
  await using app = testApp();
  const add = app.task('add', (x: number, y: number) => x + y);
  await using running = await testWorker(app);
  expect(await (await add.delay(2, 3)).get({ timeout: '5s' })).toBe(5);
  await using second = await testWorker(app);
  expect(second.worker.hostname).not.toBe(running.worker.hostname);
});

test('what was sent can be asserted, also what tasks send', async () => {
  await using app = testApp();
  const child = app.task('child', (n: number) => n);
  const parent = app.task('parent', async (n: number) => (await child.applyAsync([n], { queue: 'celery' })).id);
  using sent = recordSent(app);
  await using _ = await testWorker(app);
  await (await parent.delay(7)).get({ timeout: '5s' });
  sent.assertSent('parent', { args: [7], times: 1 });
  sent.assertSent('child', { args: [7], headers: { retries: 0 }, routingKey: 'celery' });
  sent.assertNotSent('child', { args: [8] });
  sentOf(sent).toHaveSent('child', { args: [7] });
  expect(() => sentOf(sent).toHaveSent('child', { args: [8] })).toThrow('child {"args":[7]');
  expect(() => sent.assertSent('child', { times: 2 })).toThrow(/expected 2 × child.*1 were/s);
  sent.clear();
  expect(() => sent.assertSent('child')).toThrow('nothing');
});

test('a countdown of an hour passes when the clock is told to', async () => {
  const clock = new ManualClock();
  await using app = testApp({ clock });
  const ran = vi.fn();
  const later = app.task('later', ran);
  await using _ = await testWorker(app);
  await later.applyAsync([], { countdown: '1h' });
  await clock.advance('59m');
  expect(ran).not.toHaveBeenCalled();
  await clock.advance('2m');
  expect(ran).toHaveBeenCalledTimes(1);
});

test('eager: errors are thrown, and what no message can hold fails', async () => {
  await using app = eagerApp();
  const boom = app.task('boom', () => {
    throw new TypeError('no');
  });
  await expect(boom.delay()).rejects.toThrow('no');
  const seen = app.task('seen', (value: unknown) => typeof value);
  await expect(seen.delay(() => {})).rejects.toThrow('a function cannot be sent');
  await expect(testWorker(app)).rejects.toThrow('taskAlwaysEager');
});

test.each([1, 2] as const)('a message of protocol %i runs in a worker', async (protocol) => {
  await using app = testApp();
  app.task('add', (x: number, y: number) => x + y);
  await using _ = await testWorker(app);
  await using connection = await (await app.transport()).connect();
  const channel = await connection.channel();
  await channel.publish(taskMessage('add', { id: 'my-id', args: [20, 22], protocol }), {
    exchange: '',
    routingKey: 'celery',
  });
  expect(await app.result('my-id').get({ timeout: '5s' })).toBe(42);
});
