// Tests of tasks with Jest: a real worker, a matcher, an hour that passes at once.
const { ManualClock, recordSent, sentMatchers, testApp, testWorker } = require('celeriac/testing');

expect.extend(sentMatchers);

const define = (app) => {
  const mail = app.task('mail.send', (to) => `to ${to}`);
  return { mail, order: app.task('order.place', async (to) => (await mail.delay(to)).id) };
};

test('an order sends a mail', async () => {
  const app = testApp();
  const { order } = define(app);
  const sent = recordSent(app);
  const worker = await testWorker(app);
  await (await order.delay('ann')).get({ timeout: '5s' });
  expect(sent).toHaveSent('mail.send', { args: ['ann'], times: 1 });
  expect(() => expect(sent).toHaveSent('mail.send', { args: ['bob'] })).toThrow('bob');
  await worker.stop();
  await app.close();
});

test('a reminder comes after an hour', async () => {
  const clock = new ManualClock();
  const app = testApp({ clock });
  const remind = jest.fn();
  const task = app.task('remind', () => void remind());
  const worker = await testWorker(app);
  await task.applyAsync([], { countdown: '1h' });
  await clock.advance('59m');
  expect(remind).not.toHaveBeenCalled();
  await clock.advance('2m');
  expect(remind).toHaveBeenCalledTimes(1);
  const stopped = worker.stop();
  await clock.advance('1m');
  await stopped;
  await app.close();
});
