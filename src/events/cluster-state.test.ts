import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ClusterState, type ClusterStateOptions } from './cluster-state.ts';

/*
 * The events that real workers were recorded to send, through celery.events.state (test/fixtures/record-cluster-state.py)
 * and through ours.
 */

interface RecordedEvent {
  readonly type: string;
  readonly timestamp: number;
}

const inTests = (path: string): string => fileURLToPath(new URL(`../../test/${path}`, import.meta.url));
const expected = JSON.parse(readFileSync(inTests('fixtures/cluster-state.json'), 'utf8')) as Record<
  string,
  Record<string, unknown[]> & { tasks: Record<string, unknown>[]; workers: Record<string, unknown>[] }
>;

function* bodies(value: unknown): Generator<RecordedEvent> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'decoded_body') yield* [inner].flat() as RecordedEvent[];
    else yield* bodies(inner);
  }
}

function recorded(): RecordedEvent[] {
  const folders = ['5.2', '5.6'].flatMap((version) => ['amqp', 'redis'].map((broker) => `${version}/events/${broker}`));
  return folders.flatMap((folder) =>
    readdirSync(inTests(`vectors/${folder}`))
      .sort()
      .flatMap((file) => [...bodies(JSON.parse(readFileSync(inTests(`vectors/${folder}/${file}`), 'utf8')))]),
  );
}

const events = recorded();
const orders: Record<string, [events: readonly RecordedEvent[], options?: ClusterStateOptions]> = {
  recorded: [events],
  reversed: [[...events].reverse()],
  shuffled: [events.map((_, at) => events[(at * 7919) % events.length] as RecordedEvent)],
  small: [events, { maxTasks: 4, maxWorkers: 2 }],
};

test.each(Object.keys(orders))('the same state as Celery’s: %s', (name) => {
  const [inOrder, options] = orders[name] as (typeof orders)[string];
  const want = expected[name] as (typeof expected)[string];
  const joined: string[] = [];
  const left: string[] = [];
  const state = new ClusterState({
    ...options,
    onNodeJoin: (worker) => joined.push(worker.hostname),
    onNodeLeave: (worker) => left.push(worker.hostname),
  });
  for (const event of inOrder) state.apply({ ...event, local_received: event.timestamp + 0.5 } as RecordedEvent);

  const pick = (from: object, like: Record<string, unknown>): Record<string, unknown> =>
    Object.fromEntries(Object.keys(like).map((key) => [key, (from as Record<string, unknown>)[key]]));
  expect(events.length).toBeGreaterThan(100);
  expect(state.eventCount).toBe(want['eventCount']);
  expect(state.taskCount).toBe(want['taskCount']);
  expect(joined).toEqual(want['joined']);
  expect(left).toEqual(want['left']);
  expect([...state.workers.values()].map((one, at) => pick(one, want.workers[at] ?? {}))).toEqual(want.workers);
  expect([...state.workers.values()].map((one) => one.expires ?? null)).toEqual(want['expires']);
  expect(
    [...state.tasks.values()].map((one, at) => ({
      ...pick(one, want.tasks[at] ?? {}),
      worker: one.worker?.hostname ?? null,
      children: [...one.children].sort(),
    })),
  ).toEqual(want.tasks);
  expect([...state.tasksByTime()].map(({ uuid }) => uuid)).toEqual(want['newestFirst']);
  expect(state.taskTypes()).toEqual(want['types']);
});

const worker = (type: string, at: number, more: object = {}): RecordedEvent =>
  ({ type: `worker-${type}`, hostname: 'w@h', timestamp: at, local_received: at, clock: 1, pid: 7, ...more }) as never;

test('a worker is alive for twice its heartbeat interval', () => {
  const state = new ClusterState();
  state.apply(worker('heartbeat', 100, { freq: 2 }));
  expect(state.aliveWorkers(103.9)).toHaveLength(1);
  expect(state.aliveWorkers(104)).toHaveLength(0);
  state.apply(worker('offline', 101));
  expect(state.aliveWorkers(101)).toHaveLength(0);
  expect(state.workers.size).toBe(0);
});

test('clocks that differ are told once for each node', () => {
  const warnings: unknown[] = [];
  const log = { warn: (fields: unknown) => warnings.push(fields) } as never;
  const state = new ClusterState({ log });
  for (const at of [100, 102]) state.apply(worker('heartbeat', at, { local_received: at + 60 }));
  expect(warnings).toEqual([{ worker: 'w@h', drift: 60 }]);
});

test('events that lack what they must have, or try to be more, change nothing', () => {
  const state = new ClusterState();
  expect(state.apply({ type: 'task-started' })).toBeUndefined();
  expect(state.apply({ type: 'nonsense', hostname: 'w@h', timestamp: 1 } as never)).toBeUndefined();
  const evil = '{"type":"task-received","uuid":"a","hostname":"w@h","timestamp":1,"clock":1,"local_received":1';
  state.apply(JSON.parse(`${evil},"__proto__":{"x":1},"ready":true,"children":[],"apply":1,"state":"OK"}`) as never);
  const task = state.tasks.get('a');
  expect([task?.state, task?.ready, task?.children.size, (task as unknown as { x?: number }).x]).toEqual([
    'RECEIVED',
    false,
    0,
    undefined,
  ]);
});

test('tasks are found by name and worker, and forgotten when asked', () => {
  const state = new ClusterState();
  for (const event of events) state.apply({ ...event, local_received: event.timestamp } as RecordedEvent);
  const [name] = state.taskTypes() as [string];
  expect(state.tasksByType(name).every((task) => task.name === name)).toBe(true);
  expect(state.tasksByType(name, 1)).toHaveLength(1);
  expect(state.tasksByWorker('w1@HOST').length).toBeGreaterThan(1);
  const open = [...state.tasks.values()].filter((task) => !task.ready).length;
  state.clearTasks();
  expect(state.tasks.size).toBe(open);
  state.clearTasks({ all: true });
  expect(state.tasks.size).toBe(0);
});
