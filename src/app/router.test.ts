import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { queue } from '../messaging/entity.ts';
import { resolveConfig } from './config.ts';
import { QueueTable } from './queues.ts';
import { compileRoutes, route, type RouteOptions, type TaskRoutes } from './router.ts';

interface RecordedCase {
  readonly conf: number;
  readonly regex?: readonly [string, RouteOptions];
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly task: Readonly<Record<string, unknown>> | null;
  readonly result: Readonly<Record<string, unknown>>;
}

/** What Celery 5.6 handed to kombu's producer; made by test/fixtures/record-celery.py. */
const recorded = JSON.parse(
  readFileSync(new URL('../../test/fixtures/celery-5.6-routes.json', import.meta.url), 'utf8'),
) as { confs: object[]; cases: RecordedCase[] };

const camel = (object: object): object =>
  Object.fromEntries(
    Object.entries(object).map(([key, value]) => [key.replace(/_(.)/g, (_, c: string) => c.toUpperCase()), value]),
  );

function ours({ conf, regex, name, options, task }: RecordedCase): object {
  const config = resolveConfig({
    preset: 'celery',
    ...recorded.confs[conf],
    ...(regex && { task_routes: [[new RegExp(regex[0]), regex[1]]] }),
  });
  const registered = task === null ? undefined : { name, options: camel(task) };
  const routed = route(config.taskRoutes, name, [1], {}, camel(options), registered);
  const { exchange, routingKey, deliveryMode, queue: declared } = new QueueTable(config).destinationOf(routed);
  return {
    exchange,
    routing_key: routingKey,
    delivery_mode: deliveryMode,
    declare: declared === undefined ? [] : [declared.name],
    ...(routed.priority !== undefined && { priority: routed.priority }),
    serializer: routed.serializer ?? 'json',
  };
}

describe('as Celery 5.6 does', () => {
  const title = (one: RecordedCase): string =>
    `${one.name} ${JSON.stringify(one.options)} task ${JSON.stringify(one.task)} conf ${one.conf}`;
  test.each(recorded.cases.map((one) => [title(one), one] as const))('%s', (_, one) => {
    if ('error' in one.result) expect(() => ours(one)).toThrow('is not in taskQueues');
    else if (one.name === 'ex.only')
      expect(ours(one)).toMatchObject({ exchange: 'e', routing_key: '', declare: [] }); // Differs
    else expect(ours(one)).toEqual({ routing_key: '', ...one.result });
  });
});

const to = (routes: TaskRoutes | null, name: string, options: RouteOptions = {}): RouteOptions =>
  route(routes, name, [], {}, options);

test.each<[string, TaskRoutes | null, string, RouteOptions]>([
  ['no routes', null, 'a', {}],
  ['a rule with a glob', [{ match: 'feed.*', queue: 'feeds', priority: 3 }], 'feed.x', { queue: 'feeds', priority: 3 }],
  ['a rule with a regular expression', [{ match: /^img/gi, queue: 'media' }], 'IMG.x', { queue: 'media' }],
  [
    'pairs in a list, in their order',
    [
      ['a*', 'first'],
      ['ab', 'second'],
    ],
    'ab',
    { queue: 'first' },
  ],
  [
    'a table of pairs, exact names first',
    [
      [
        ['a*', 'first'],
        ['ab', 'second'],
      ],
    ],
    'ab',
    { queue: 'second' },
  ],
  [
    'a map',
    new Map<string | RegExp, string>([
      [/b$/, 'no'],
      [/a/, 'yes'],
    ]),
    'ab',
    { queue: 'yes' },
  ],
  ['a function', (name) => `q-${name}`, 'a', { queue: 'q-a' }],
  ['a function that declines', [() => null, { a: 'table' }], 'a', { queue: 'table' }],
  ['snake_case', { a: { routing_key: 'k', queue: 'q' } as RouteOptions }, 'a', { routingKey: 'k', queue: 'q' }],
  ['a queue as an entity', { a: { queue: queue('q') } }, 'a', { queue: queue('q') }],
  ['names of object members', { a: 'q' }, 'constructor', {}],
  ['an exchange alone', { a: { exchange: 'e' } }, 'a', { exchange: 'e', queue: null }],
  ['an empty route ends the search', [{ a: {} }, { a: 'late' }], 'a', {}],
])('%s', (_, routes, name, expected) => {
  expect(to(routes, name)).toEqual(expected);
});

test('a regular expression with state gives the same answer twice', () => {
  const compiled = compileRoutes([[/a/g, 'q']]);
  expect([1, 2, 3].map(() => route(compiled, 'a', [], {}, {}))).toEqual(Array(3).fill({ queue: 'q' }));
});

test('a router function sees the call', () => {
  const seen: unknown[] = [];
  const task = { name: 't', options: { queue: 'own', expiresMs: 5 } };
  route((...all) => void seen.push(...all), 't', [1], { k: 2 }, { priority: 1, queue: undefined } as never, task);
  expect(seen).toEqual(['t', [1], { k: 2 }, { queue: 'own', expires: 5, priority: 1 }, task]);
});

test('nothing given is changed', () => {
  const routes = Object.freeze({ a: Object.freeze({ queue: 'q' }) });
  const options = Object.freeze({ priority: 1 });
  expect(to(routes, 'a', options)).toEqual({ queue: 'q', priority: 1 });
});

test.each([
  [3],
  ['module:router'],
  [[3]],
  [[[['a', 3]]]],
  [{ a: 3 }],
  [
    [
      ['a', 'b'],
      [1, 2],
    ],
  ],
])('%j is refused', (bad) => {
  expect(() => compileRoutes(bad as unknown as TaskRoutes)).toThrow('setting "taskRoutes": expected');
});
