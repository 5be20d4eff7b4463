import { afterEach, expect, test } from 'vitest';
import { Celery, chain, chord, group } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { withoutChords } from '../support/without-chords.ts';

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

function newApp(options = {}): Celery {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', ...options });
  open.push(app);
  return app;
}

test('a plan says where everything goes, and sends nothing', async () => {
  const app = newApp({ taskRoutes: { 'b.*': { queue: 'slow' } } });
  const a = app.remoteTask<(x: number) => number>('a.one');
  const b = app.remoteTask<(x: number) => number>('b.two', { queue: 'gpu' });
  const c = app.remoteTask<(x: number) => number>('b.three');
  const total = app.remoteTask<(all: number[]) => number>('a.total');
  const plan = await app.plan(chain(a.s(1), group([b.s(), c.s()]), total.s()));
  expect([plan.messages, plan.leaves, plan.problems]).toEqual([1, 4, []]);
  expect(plan.root.children[1]).toMatchObject({
    kind: 'chord',
    chord: 'native',
    leaves: 3,
    children: [{ queue: 'gpu' }, { queue: 'slow' }, { name: 'a.total', queue: 'celery' }],
  });
  expect(plan.toString()).toMatch(/^chain {2}4 tasks\n {2}a\.one {2}→ celery/);
  expect(plan.toMermaid()).toBe(
    [
      'flowchart LR',
      '  n0["a.one (celery)"]',
      '  n1["b.two (gpu)"]',
      '  n2["b.three (slow)"]',
      '  n3["a.total (celery)"]',
      '  n0 --> n1',
      '  n0 --> n2',
      '  n1 --> n3',
      '  n2 --> n3',
    ].join('\n'),
  );
  expect(plan.toDot()).toContain('n2 -> n3;');
  const connection = await (await app.transport()).connect();
  const channel = await connection.channel();
  expect(await channel.get('celery').catch(() => undefined)).toBeUndefined();
  await connection.close();
});

test('a plan says what cannot work', async () => {
  const app = newApp({ backend: 'disabled://', taskCreateMissingQueues: false });
  const a = app.remoteTask<(x: unknown) => number>('a');
  const total = app.remoteTask<(all: number[]) => number>('total');
  const late = a.s(1).set({ countdown: '10s', expires: '1s' });
  const plan = await app.plan(chord([a.s(() => 1), late, a.s(2).set({ queue: 'nowhere' })], total.s()));
  expect(plan.problems).toEqual([
    expect.stringMatching(/^chord: chords need a result backend/),
    expect.stringMatching(/^chord > a: its arguments cannot be serialized/),
    'chord > a: it expires before it is due',
    expect.stringMatching(/^chord > a: .*nowhere/),
  ]);
});

test('a plan says which chords cannot be counted, and draws what is broken', async () => {
  const app = newApp();
  const a = app.remoteTask<(x: unknown) => number>('a');
  const total = app.remoteTask<(all: number[]) => number>('total');
  const canvas = chain(a.s(1), chord([a.s(), a.si(2).set({ expires: new Date(0) })], total.s()));
  const rpc = newApp({ backend: withoutChords(await app.backend(), 'rpc') });
  const here = rpc.signature(canvas.toJSON());
  const plan = await rpc.plan(here);
  expect(plan.problems).toEqual([
    'chain > chord: chords need a result backend that keeps results, and "rpc" does not',
    'chain > chord > a: it has expired already',
  ]);
  expect(plan.root.children[1]).toMatchObject({ kind: 'chord', chord: 'none' });
  expect(plan.toString()).toContain('  chord  3 tasks  chord: none\n    ! chords need a result backend');
  expect(plan.toMermaid()).toContain('n2["a (celery)"]:::broken');
  expect(plan.toMermaid()).toContain('classDef broken');
  expect(plan.toDot()).toContain('n2 [label="a (celery)", color=red];');
  await expect((here as unknown as { delay(): Promise<unknown> }).delay()).rejects.toMatchObject({
    code: 'ERR_NOT_SUPPORTED',
  });
  const unlock = newApp({ backend: withoutChords(await app.backend()) });
  const counted = await unlock.plan(unlock.signature(canvas.toJSON()));
  expect(counted.root.children[1]).toMatchObject({ chord: 'unlock' });
  const header = await unlock.plan(unlock.signature(chord([a.s(1), a.s(2)], total.s()).toJSON()));
  // The task that waits for the header is a message too.
  expect([header.messages, header.problems]).toEqual([3, []]);
  const large = await app.plan(a.s('x'.repeat(2 ** 21)));
  expect(large.problems).toEqual([expect.stringMatching(/^a: its message has \d{7} bytes$/)]);
});

test('a group from a generator: a window is under way, the body gets everything', { timeout: 60_000 }, async () => {
  const app = newApp();
  const half = app.task('half', (n: number) => n / 2);
  const total = app.task('total', (all: number[]) => all.reduce((sum, one) => sum + one, 0));
  let generated = 0;
  async function* members() {
    for (; generated < 3000; generated++) yield half.s(generated);
  }
  const worker = new Worker(app, { concurrency: 50 });
  await worker.start();
  open.push({ [Symbol.asyncDispose]: () => worker.stop('cold') });
  const streamed = await app.streamGroup(members(), { body: total.s(), window: 64 });
  expect([streamed.size, generated, streamed.results]).toEqual([3000, 3000, undefined]);
  expect(await streamed.body?.get({ timeout: '30s' })).toBe((2999 * 3000) / 4);
  const few = await app.streamGroup([half.s(2), half.s(4)]);
  expect(await Promise.all((few.results ?? []).map((one) => one.get({ timeout: '10s' })))).toEqual([1, 2]);
  const none = await app.streamGroup([], { body: total.s() });
  expect(await none.body?.get({ timeout: '10s' })).toBe(0);
});
