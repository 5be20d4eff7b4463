import { expect, test } from 'vitest';
import { poolApp } from './app.ts';
import { get, start } from './support.ts';

/* Results as messages, from children, on a broker that has no exchanges of its own. */

test('states and results of a child reach who sent the task', async () => {
  const { app } = await start({ pool: 'thread', concurrency: 1 }, {}, (options) =>
    poolApp({ ...options, env: { ...process.env, CELERY_RESULT_BACKEND: 'rpc://' } }),
  );
  expect((await app.backend()).name).toBe('rpc');
  expect(await get(app, 'add', [2, 3])).toBe(5);
  await expect(get(app, 'boom', ['bad'])).rejects.toMatchObject({ type: 'RangeError', args: ['bad'] });
  const states: string[] = [];
  const step = await app.send('step', []);
  for await (const { state } of step.updates({ signal: AbortSignal.timeout(30_000) })) states.push(state);
  expect(states).toEqual(['CUSTOM', 'SUCCESS']);
});
