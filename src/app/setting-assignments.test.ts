import { expect, test } from 'vitest';
import { parseSettingAssignments } from './setting-assignments.ts';

test.each<[string, object]>([
  ['worker.prefetch_multiplier=1', { workerPrefetchMultiplier: 1 }],
  ['WORKER_PREFETCH_MULTIPLIER=1', { workerPrefetchMultiplier: 1 }],
  ['.prefetch_multiplier=1', { workerPrefetchMultiplier: 1 }],
  ['_prefetch_multiplier=1', { workerPrefetchMultiplier: 1 }],
  ['workerPrefetchMultiplier=1', { workerPrefetchMultiplier: 1 }],
  ['timezone=UTC', { timezone: 'UTC' }],
  ['task.acks_late=on', { taskAcksLate: true }],
  ['task.acks_late=0', { taskAcksLate: false }],
  ['result.expires=30s', { resultExpires: 30 }],
  ['result.expires=1.5', { resultExpires: 1.5 }],
  ['result.expires=none', { resultExpires: null }],
  ['task.protocol=1', { taskProtocol: 1 }],
  ['broker.url=redis://h/0?a=b', { brokerUrl: 'redis://h/0?a=b' }],
  ['accept_content=["json", "yaml"]', { acceptContent: ['json', 'yaml'] }],
  ['accept_content=json,yaml', { acceptContent: ['json', 'yaml'] }],
  ['accept_content=(list)["json"]', { acceptContent: ['json'] }],
  ['task.routes={"a": "q"}', { taskRoutes: { a: 'q' } }],
  ['worker.concurrency=(int)3', { workerConcurrency: 3 }],
  ['worker.state_db=(string)3', { workerStateDb: '3' }],
  ['worker.state_db=3', { workerStateDb: '3' }],
])('%s', (arg, expected) => {
  expect(parseSettingAssignments([arg], 'worker')).toEqual(expected);
});

test.each([
  ['concurrency', 'expected name=value'],
  ['=3', 'expected name=value'],
  ['worker.concurency=3', 'did you mean "worker_concurrency"?'],
  ['worker.concurrency=many', 'expected a whole number of at least 0 or null, got "many" (string)'],
  ['worker.concurrency=(int)many', 'expected a value of type int, got "many"'],
  ['worker.concurrency=(long)3', 'got (long)'],
  ['task.acks_late=maybe', 'expected true or false, got "maybe" (string)'],
])('%s is refused', (arg, message) => {
  expect(() => parseSettingAssignments([arg], 'worker')).toThrow(message);
});
