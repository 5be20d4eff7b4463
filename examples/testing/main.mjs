// Tests of tasks with node:test: a real worker, what was sent, and an hour that passes at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, recordSent, testApp, testWorker } from 'celeriac/testing';

const define = (app) => {
  const mail = app.task('mail.send', (to) => `to ${to}`);
  return { mail, order: app.task('order.place', async (to) => (await mail.delay(to)).id) };
};

test('an order sends a mail', async () => {
  const app = testApp();
  const { order } = define(app);
  const sent = recordSent(app);
  const { stop } = await testWorker(app);
  await (await order.delay('ann')).get({ timeout: '5s' });
  sent.assertSent('mail.send', { args: ['ann'], times: 1 });
  await stop();
  await app.close();
});

test('a reminder comes after an hour', async () => {
  const clock = new ManualClock();
  const app = testApp({ clock });
  let reminded = 0;
  const remind = app.task('remind', () => void reminded++);
  const { stop } = await testWorker(app);
  await remind.applyAsync([], { countdown: '1h' });
  await clock.advance('59m');
  assert.equal(reminded, 0);
  await clock.advance('2m');
  assert.equal(reminded, 1);
  const stopped = stop();
  await clock.advance('1m');
  await stopped;
  await app.close();
});
