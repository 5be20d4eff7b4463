import { expect, test } from 'vitest';
import { Celery, OperationalError } from '../index.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { Transport } from '../transports/transport.ts';
import { Worker } from './worker.ts';

/* Settings that change what a worker does, each with its counterpart. */

test.each([
  [true, 3],
  [false, 1],
])('workerDisableRateLimits %s: %i of 3 tasks run at once', async (workerDisableRateLimits, expected) => {
  const clock = new ManualClock();
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, clock, workerDisableRateLimits });
  let runs = 0;
  const limited = app.task('limited', { rateLimit: '1/h' }, () => void runs++);
  const worker = new Worker(app, { concurrency: 3 });
  const starting = worker.start();
  await clock.advance('10ms');
  await starting;
  const sending = Promise.all([limited.delay(), limited.delay(), limited.delay()]);
  await clock.advance('1s');
  await sending;
  await clock.advance('1s');
  expect(runs).toBe(expected);
  const stopped = worker.stop('cold');
  await clock.advance('60s');
  await stopped;
  await app.close();
});

test.each([
  [{ brokerConnectionRetryOnStartup: false }, 1],
  [{ brokerConnectionRetry: false }, 1],
  [{ brokerConnectionRetry: false, brokerConnectionRetryOnStartup: true, brokerConnectionMaxRetries: 2 }, 3],
  [{ brokerConnectionMaxRetries: 2 }, 3],
])('a broker that is down at the start with %j is tried %i times', async (settings, expected) => {
  let tries = 0;
  const down: Transport = {
    ...(await new Celery({ broker: 'memory://', env: {} }).transport()),
    name: 'down',
    displayUrl: 'down://',
    connect() {
      tries++;
      return Promise.reject(new OperationalError('down', { recoverable: true }));
    },
  };
  const clock = new ManualClock();
  const app = new Celery({ broker: down, backend: 'memory://', env: {}, clock, ...settings });
  const worker = new Worker(app);
  let ended = false;
  const starting = worker.start().then(
    () => undefined,
    (error: unknown) => error,
  );
  void starting.then(() => (ended = true));
  for (let second = 0; second < 60 && !ended; second++) await clock.advance('1s');
  expect(await starting).toBeInstanceOf(OperationalError);
  expect(tries).toBe(expected);
  await worker.stop('cold');
  await app.close();
});
