import { expect, test } from 'vitest';
import { exchange, queue } from '../messaging/entity.ts';
import { resolveConfig, type ConfigInput } from './config.ts';
import { QueueTable, workerDirect } from './queues.ts';

const table = (input: ConfigInput = {}): QueueTable => new QueueTable(resolveConfig(input));
const names = (of: QueueTable): string[] => of.consumed.map(({ name }) => name);

test('without taskQueues the default queue alone exists', () => {
  expect(table().all).toEqual([queue('celery', { exchange: exchange('celery') })]);
  const queues = table();
  expect(queues.default).toBe(queues.all[0]);
});

test('the defaults have names of their own', () => {
  const { default: found } = table({
    taskDefaultQueue: 'q',
    taskDefaultExchange: 'e',
    taskDefaultExchangeType: 'topic',
    taskDefaultRoutingKey: 'k',
    taskDefaultQueueType: 'quorum',
  });
  expect(found).toEqual(
    queue('q', {
      exchange: exchange('e', { type: 'topic' }),
      routingKey: 'k',
      arguments: { 'x-queue-type': 'quorum' },
    }),
  );
});

test('an unknown queue is created with its own exchange', () => {
  expect(table().get('new')).toEqual(queue('new', { exchange: exchange('new') }));
  expect(
    table({ taskCreateMissingQueueType: 'quorum', taskCreateMissingQueueExchangeType: 'topic' }).get('new'),
  ).toEqual(queue('new', { exchange: exchange('new', { type: 'topic' }), arguments: { 'x-queue-type': 'quorum' } }));
});

test('an unknown queue is an error where none are created', () => {
  const strict = table({ taskCreateMissingQueues: false, taskQueues: { a: {}, b: {} } });
  expect(() => strict.get('c')).toThrow(
    'queue "c" is not in taskQueues (known: a, b) and taskCreateMissingQueues is off',
  );
});

test('definitions as Python writes them', () => {
  const { all } = table({
    taskQueues: {
      plain: {},
      topic: { exchange: 'media', exchange_type: 'topic', routing_key: 'media.#', durable: false } as object,
      old: { binding_key: 'k' } as object,
      ranked: { queue_arguments: { 'x-max-priority': 5 }, alias: 'r' } as object,
    },
    taskQueueMaxPriority: 10,
  });
  expect(all).toEqual([
    queue('plain', { exchange: exchange('celery'), maxPriority: 10 }),
    queue('topic', {
      exchange: exchange('media', { type: 'topic', durable: false }),
      routingKey: 'media.#',
      durable: false,
      maxPriority: 10,
    }),
    queue('old', { exchange: exchange('celery'), routingKey: 'k', maxPriority: 10 }),
    queue('ranked', { exchange: exchange('celery'), arguments: { 'x-max-priority': 5 }, alias: 'r' }),
  ]);
});

test('queues and names in a list', () => {
  const { all } = table({ taskQueues: [queue('a', { exchange: exchange('x') }), 'b'] });
  expect(all).toEqual([queue('a', { exchange: exchange('x') }), queue('b', { exchange: exchange('b') })]);
});

test('quorum queues get no x-max-priority', () => {
  const { all } = table({ taskQueueMaxPriority: 9, taskDefaultQueueType: 'quorum' });
  expect(all[0]?.maxPriority).toBeUndefined();
});

test('consumed: all that are configured, not those created for sending', () => {
  const queues = table({ taskQueues: { a: {}, b: {}, c: {} } });
  queues.get('sent');
  expect(names(queues)).toEqual(['a', 'b', 'c']);
});

test('select, deselect and selectAdd', () => {
  const queues = table({ taskQueues: { a: { alias: 'first' }, b: {}, c: {} } });
  queues.deselect(['b', 'unknown']);
  expect(names(queues)).toEqual(['a', 'c']);
  queues.select([]);
  expect(names(queues)).toEqual(['a', 'c']);
  queues.select(['first', 'new']);
  expect(names(queues)).toEqual(['a', 'new']);
  queues.selectAdd(queue('more'));
  queues.selectAdd('b');
  expect(names(queues)).toEqual(['a', 'new', 'more', 'b']);
  queues.deselect(['first']);
  expect(names(queues)).toEqual(['new', 'more', 'b']);
});

test('select is all or nothing', () => {
  const queues = table({ taskQueues: { a: {} }, taskCreateMissingQueues: false });
  expect(() => queues.select(['nope'])).toThrow('nope');
  expect(names(queues)).toEqual(['a']);
});

test('the queue of one worker', () => {
  expect(workerDirect('celery@h')).toEqual(
    queue('celery@h.dq2', { exchange: exchange('C.dq2'), routingKey: 'celery@h' }),
  );
});
