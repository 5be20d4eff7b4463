import { expect, test } from 'vitest';
import { nearest } from './nearest.ts';

test('case and underscores do not count', () => {
  expect(nearest('BROKERURL', ['brokerUrl', 'brokerReadUrl'])).toBe('brokerUrl');
  expect(nearest('task_ack_late', ['taskAlwaysEager', 'taskAcksLate'])).toBe('taskAcksLate');
  expect(nearest('taskAckLate', ['task_always_eager', 'task_acks_late'])).toBe('task_acks_late');
});

test('nothing is proposed where nothing is alike', () => {
  expect(nearest('x', [])).toBeUndefined();
  expect(nearest('colour', ['brokerUrl', 'timezone'])).toBeUndefined();
});
