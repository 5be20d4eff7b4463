import { expect, test } from 'vitest';
import { Cancellation } from './cancellation.ts';

test('a signal that was read before the abort is told', () => {
  const cancellation = new Cancellation();
  const { signal } = cancellation;
  const reasons: unknown[] = [];
  signal.addEventListener('abort', () => reasons.push(signal.reason));
  expect(signal.aborted).toBe(false);
  cancellation.abort('first');
  cancellation.abort('second');
  expect(reasons).toEqual(['first']);
  expect(cancellation.signal).toBe(signal);
});

test('a signal that is read after the abort knows the reason', () => {
  const cancellation = new Cancellation();
  cancellation.abort('first');
  cancellation.abort('second');
  expect(cancellation.signal.aborted).toBe(true);
  expect(cancellation.signal.reason).toBe('first');
});
