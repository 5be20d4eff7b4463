import { expect, test } from 'vitest';
import { resolveConfig } from '../app/config.ts';
import { nodeQueue, replyQueue } from './pidbox.ts';

test('mailboxes have Celery’s flags', () => {
  const common = { durable: false, exclusive: false, autoDelete: true, noAck: true, expiresMs: 10_000 };
  expect(nodeQueue('w@h', 'celery', resolveConfig({}))).toMatchObject({ ...common, messageTtlMs: 300_000 });
  expect(replyQueue('me', 'celery')).toEqual(replyQueue('me', 'celery', resolveConfig({})));
});

test('the settings of control queues reach both mailboxes', () => {
  const conf = resolveConfig({
    controlQueueTtl: '2m',
    controlQueueExpires: 30,
    controlQueueExclusive: true,
    controlQueueDurable: true,
  });
  const expected = { durable: true, exclusive: true, autoDelete: false, expiresMs: 30_000, messageTtlMs: 120_000 };
  expect(nodeQueue('w@h', 'celery', conf)).toMatchObject(expected);
  expect(replyQueue('me', 'celery', conf)).toMatchObject(expected);
});
