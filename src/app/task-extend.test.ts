import { expect, test } from 'vitest';
import { Celery } from './celery.ts';

test('options and hooks of a base are inherited, and single ones replaced', async () => {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {} });
  const calls: string[] = [];
  const critical = app.task.extend({
    maxRetries: 9,
    acksLate: true,
    hooks: { onSuccess: () => calls.push('base success'), afterReturn: () => calls.push('base return') },
  });
  const loud = critical.extend({ maxRetries: 1 });
  const pay = critical(
    'pay',
    { acksLate: false, hooks: { onSuccess: () => calls.push('own success') } },
    (x: number) => x,
  );
  loud('loud', { bind: true }, (ctx, x: number) => x + ctx.retries);
  expect(app.tasks.get('pay')?.options).toMatchObject({ maxRetries: 9, acksLate: false });
  expect(app.tasks.get('loud')?.options).toMatchObject({ maxRetries: 1, acksLate: true });
  const value: number = await (await pay.apply([2])).get();
  expect(value).toBe(2);
  expect(calls).toEqual(['own success', 'base return']);
  expect(() => app.task.extend({ acksLat: true } as never)).toThrow('did you mean "acksLate"?');
});
