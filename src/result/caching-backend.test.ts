import { expect, test } from 'vitest';
import { createBackend } from '../backends/memory.ts';
import type { ResultRecord } from '../backends/backend.ts';
import { systemClock } from '../runtime/clock.ts';
import { silentLogger } from '../runtime/logger.ts';
import { systemRandom } from '../runtime/random.ts';
import { CachingBackend } from './caching-backend.ts';

function record(taskId: string, status: string): ResultRecord {
  return { taskId, status, result: taskId, traceback: null, children: [], dateDone: null };
}

/** A store that counts what it is asked. */
function store() {
  const context = { clock: systemClock, random: systemRandom(), log: silentLogger };
  const inner = createBackend('memory://', { expiresMs: null, transportOptions: {} }, context);
  const asked: string[] = [];
  const load = inner.load.bind(inner);
  inner.load = (taskId) => (asked.push(taskId), load(taskId));
  return { inner, asked };
}

test('a success is read once; what may still change is read again', async () => {
  const { inner, asked } = store();
  await using backend = new CachingBackend(inner, 10);
  for (const [id, status] of [
    ['done', 'SUCCESS'],
    ['failed', 'FAILURE'],
    ['running', 'STARTED'],
  ] as const) {
    await backend.store(record(id, status));
    for (let n = 0; n < 3; n++) expect((await backend.load(id))?.status).toBe(status);
  }
  expect(await backend.load('nobody')).toBeUndefined();
  expect(asked).toEqual(['done', 'failed', 'failed', 'failed', 'running', 'running', 'running', 'nobody']);
  const many = await backend.loadMany(['nobody', 'done', 'failed']);
  expect(many.map((one) => one?.status)).toEqual([undefined, 'SUCCESS', 'FAILURE']);
});

test('the one used longest ago goes first, and a forgotten one at once', async () => {
  const { inner, asked } = store();
  await using backend = new CachingBackend(inner, 2);
  for (const id of ['a', 'b', 'c']) await backend.store(record(id, 'SUCCESS'));
  await backend.load('a');
  await backend.load('b');
  await backend.load('a');
  await backend.load('c');
  asked.length = 0;
  for (const id of ['a', 'c', 'b']) await backend.load(id);
  expect(asked).toEqual(['b']);
  await backend.forget('b');
  expect(await backend.load('b')).toBeUndefined();
});

test('who waits for what was read before is told without asking; closed watches are silent', async () => {
  const { inner } = store();
  await using backend = new CachingBackend(inner, Infinity);
  await backend.store(record('a', 'SUCCESS'));
  const seen: string[] = [];
  const first = backend.watch('a', ({ status }) => void seen.push(`first ${status}`));
  await first.ready;
  await inner.forget('a');
  const second = backend.watch('a', ({ status }) => void seen.push(`second ${status}`));
  const third = backend.watch('a', () => void seen.push('third'));
  third.close();
  await second.ready;
  await third.ready;
  expect(seen).toEqual(['first SUCCESS', 'second SUCCESS']);
  first.close();
});
