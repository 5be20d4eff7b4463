import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery, chain, chord, group, type AsyncResult, type GroupResult, type ResultTuple } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { canvasTasks } from '../support/canvas.ts';
import { pythonResults, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';

/*
 * Trees of results that grew in both languages, read from both sides.
 */

const reason = missing('redis') ?? missing('python');
const timeout = '30s';

describe.skipIf(reason !== undefined)(`results on Redis${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  let side: PythonSide;
  let python: PythonWorker;
  let app: Celery;
  let worker: Worker;

  beforeAll(async () => {
    redis = await startRedis();
    side = { broker: redis.url(0), backend: redis.url(1) };
    python = await pythonWorker(side);
    app = new Celery({ broker: side.broker, backend: side.backend, resultExtended: true });
    canvasTasks(app);
    app.task('ts.square', (n: number) => n * n);
    app.task('ts.relay', (n: number) => app.send('py.square', [n], { queue: 'celery' }));
    app.task('ts.spread', (name: string, queue: string, n: number) =>
      group(Array.from({ length: n }, (_, i) => app.remoteTask<(i: number) => unknown>(name, { queue }).s(i))).delay(),
    );
    worker = new Worker(app, { queues: ['ts'], hostname: 'ts@results', concurrency: 10 });
    await worker.start();
  });

  afterAll(async () => {
    await worker?.stop('cold');
    await app?.close();
    await python?.[Symbol.asyncDispose]();
    await redis?.stop();
  });

  const spread = (lang: 'ts' | 'py', name: string, queue: string): Promise<AsyncResult<unknown>> =>
    app.send(`${lang}.spread`, [name, queue, 3], { queue: lang === 'ts' ? 'ts' : 'celery' });

  const numbers = (values: readonly unknown[]): unknown[] => values.filter((value) => typeof value === 'number');

  // A task that sends a group whose members each send a task of the other language.
  test.each([
    ['py', 'ts.relay', 'ts'],
    ['ts', 'py.relay', 'celery'],
    ['py', 'py.relay', 'celery'],
    ['ts', 'ts.relay', 'ts'],
  ] as const)('a tree that %s.spread and %s made is the same from both sides', async (lang, name, queue) => {
    const root = await spread(lang, name, queue);
    const collected: (readonly [string, unknown])[] = [];
    for await (const [result, value] of root.collect({ timeout })) collected.push([result.id, value]);
    // The root, its group, three members, and what each of them sent.
    expect(collected).toHaveLength(8);
    expect(numbers(collected.map(([, value]) => value))).toEqual([0, 1, 4]);
    expect(await root.getLeaf({ timeout })).toBe(4);
    const edges: (readonly [string | null, string])[] = [];
    for await (const [parent, result] of root.iterdeps()) edges.push([parent?.id ?? null, result.id]);
    const tuple = root.toJSON();
    const [theirs, theirEdges, theirGraph] = await pythonResults(side, [
      { op: 'collect', tuple },
      { op: 'edges', tuple },
      { op: 'graph', tuple },
    ]);
    expect(collected).toEqual(theirs);
    expect(edges).toEqual(theirEdges);
    const graph = await root.graph();
    const adjacent = Object.fromEntries(graph.nodes.map(({ id }) => [id, [] as string[]]));
    for (const [from, to] of graph.edges) adjacent[from]?.push(to);
    expect(adjacent).toEqual(theirGraph);
    expect(graph.nodes.map(({ state }) => state)).toEqual(graph.nodes.map(() => 'SUCCESS'));
    expect(graph.nodes.filter(({ kind }) => kind === 'group')).toHaveLength(1);
    expect(graph.toDot()).toContain(`"${root.id}" -> `);
    expect(graph.toMermaid().match(/-->/g)).toHaveLength(7);
    expect(graph.toString().split('\n')[2]).toMatch(/^ {4}/);
  });

  const step = (lang: 'ts' | 'py') =>
    app.remoteTask<(...args: unknown[]) => unknown>(`${lang}.step`, { queue: lang === 'ts' ? 'ts' : 'celery' });

  test('parents of a chain and of a chord: ids and values, from both sides', async () => {
    const steps = ['ts', 'py', 'ts', 'py'] as const;
    const [first, ...rest] = steps.map((lang, n) => step(lang).s(`s${n}`) as never);
    const last = await (
      (chain as (...all: unknown[]) => unknown)(first, ...rest) as { delay(): Promise<AsyncResult<unknown>> }
    ).delay();
    expect(await last.get({ timeout })).toBe('s3(s2(s1(s0)))');
    const values = await Promise.all(last.parents().map((parent) => parent.get({ timeout })));
    expect(values).toEqual(['s2(s1(s0))', 's1(s0)', 's0']);
    const total = await chord(
      [step('py').s('a') as never, step('ts').s('b') as never],
      step('py').s('c') as never,
    ).delay();
    expect(await (total as AsyncResult<unknown>).get({ timeout })).toBe('c([a,b])');
    const handles = [last, total as AsyncResult<unknown>];
    const theirs = await pythonResults(
      side,
      handles.map((handle) => ({ op: 'parents', tuple: handle.toJSON() })),
    );
    expect(theirs).toEqual(
      await Promise.all(
        handles.map(async (handle) => ({
          ids: handle.asList(),
          value: await handle.get({ timeout }),
          tuple: handle.toJSON(),
        })),
      ),
    );
    // What followed each step is its child, whoever ran it.
    const root = last.parents().at(-1) as AsyncResult<unknown>;
    const line: unknown[] = [];
    for await (const [, value] of app.result(root.id).collect({ timeout })) line.push(value);
    expect(line).toEqual(['s0', 's1(s0)', 's2(s1(s0))', 's3(s2(s1(s0)))']);
  });

  test('groups saved on one side are restored on the other', async () => {
    const ours = (await group([
      step('ts').s('a') as never,
      step('py').s('b') as never,
    ]).delay()) as unknown as GroupResult<unknown[]>;
    await ours.save();
    const theirs = (await group([
      step('py').s('c') as never,
      step('ts').s('d') as never,
    ]).delay()) as unknown as GroupResult<unknown[]>;
    const [restored, id] = await pythonResults(side, [
      { op: 'restore', id: ours.id },
      { op: 'save', tuple: theirs.toJSON() },
    ]);
    expect(restored).toEqual({ tuple: ours.toJSON(), values: ['a', 'b'], completed: 2 });
    const again = await app.restoreGroup(id as string);
    expect(again?.toJSON()).toEqual(theirs.toJSON());
    expect(await again?.get({ timeout })).toEqual(['c', 'd']);
    await again?.delete();
    expect(await app.restoreGroup(id as string)).toBeUndefined();
  });

  test('progress of a mixed chord and of what Python sent counts up to the end', async () => {
    const header = Array.from({ length: 12 }, (_, n) => step(n % 2 ? 'ts' : 'py').s(`m${n}`) as never);
    const total = (await chord(header, step('ts').s('end') as never).delay()) as AsyncResult<unknown>;
    const seen: number[] = [];
    for await (const { successful, failed, total: all, done } of total.progress()) {
      expect([failed, all, done]).toEqual([0, 13, successful === 13 || done]);
      seen.push(successful);
    }
    expect(seen.at(-1)).toBe(13);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    const [sent] = await pythonResults(side, [{ op: 'send', name: 'py.square', args: [3], queue: 'celery' }]);
    const counts: number[] = [];
    for await (const { successful } of app.resultFrom(sent as ResultTuple).progress()) counts.push(successful);
    expect(counts.at(-1)).toBe(1);
  });
});
