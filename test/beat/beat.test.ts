import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  Beat,
  FileStore,
  openStore,
  type RunState,
  type ScheduleStore,
  type StoredEntry,
} from '../../src/beat/index.ts';
import {
  Celery,
  crontab,
  every,
  ImproperlyConfigured,
  type CeleryOptions,
  type PeriodicTask,
  type SignatureDict,
} from '../../src/index.ts';
import { ManualClock } from '../../src/testing/index.ts';

const START = Date.UTC(2026, 0, 1, 9, 35, 17);

/** Keeps what a file would, and may fail as a crash does. */
class MemoryStore implements ScheduleStore {
  readonly name = 'memory';
  readonly states = new Map<string, RunState>();
  saves = 0;
  failAfter = Infinity;
  async load(configured: readonly PeriodicTask[]): Promise<StoredEntry[]> {
    return configured.map((task) => ({ task, state: this.states.get(task.name) }));
  }
  async save(states: ReadonlyMap<string, RunState>): Promise<void> {
    if (this.saves >= this.failAfter) throw new Error('power cut');
    this.saves++;
    for (const [name, state] of states) this.states.set(name, state);
  }
}

interface Rig {
  readonly app: Celery;
  readonly clock: ManualClock;
  readonly sent: SignatureDict[];
}

function rig(settings: CeleryOptions = {}): Rig {
  const clock = new ManualClock(START);
  const app = new Celery({ broker: 'memory://', backend: 'disabled://', clock, ...settings });
  const sent: SignatureDict[] = [];
  const send = app.sender.sendDetached.bind(app.sender);
  app.sender.sendDetached = (dict, ...rest) => {
    sent.push(dict);
    return send(dict, ...rest);
  };
  return { app, clock, sent };
}

const names = (sent: readonly SignatureDict[]): string[] => sent.map(({ task }) => task);

describe('beat', () => {
  test('a new entry runs after its interval, an old one at once and only once', async () => {
    const { app, clock, sent } = rig({ beatSchedule: { tick: { task: 'math.tick', schedule: 30, args: [1] } } });
    const store = new MemoryStore();
    const beat = new Beat(app, { store });
    expect(await beat.tick()).toBe(30_000);
    await clock.advance(30_000);
    expect(await beat.tick()).toBe(30_000);
    expect(sent).toMatchObject([{ task: 'math.tick', args: [1] }]);
    await clock.advance(3_600_000);
    const later = new Beat(app, { store });
    await later.tick();
    await later.tick();
    expect(sent).toHaveLength(2);
    expect(store.states.get('tick')?.totalRunCount).toBe(2);
    await app.close();
  });

  test('1,000 entries of one second keep pace', async () => {
    const beatSchedule = Object.fromEntries(
      Array.from({ length: 1000 }, (_, i) => [`entry-${i}`, { task: 'math.tick', schedule: 1, args: [i] }]),
    );
    const { app, clock, sent } = rig({ beatSchedule });
    const beat = new Beat(app, { store: new MemoryStore() });
    await beat.tick();
    for (let second = 0; second < 10; second++) {
      await clock.advance(1000);
      await beat.tick();
    }
    expect(sent).toHaveLength(10_000);
    await app.close();
  });

  test('arguments given as a function are made for each run', async () => {
    let runs = 0;
    const { app, clock, sent } = rig({
      beatSchedule: {
        lazy: { task: 'math.tick', schedule: '1s', args: () => [++runs], options: { queue: 'slow', expires: 60 } },
      },
    });
    const beat = new Beat(app, { store: new MemoryStore() });
    await beat.tick();
    for (let i = 0; i < 2; i++) {
      await clock.advance(1000);
      await beat.tick();
    }
    expect(sent.map(({ args }) => args)).toEqual([[1], [2]]);
    expect(sent[0]?.options).toMatchObject({ queue: 'slow', expires: 60 });
    await app.close();
  });

  test('entries of the app: typed signatures, wall-clock times', async () => {
    const { app, clock, sent } = rig();
    const add = app.task('math.add', (x: number, y: number) => x + y);
    app.addPeriodicTask('nightly', crontab({ hour: 3, minute: 0, timezone: 'Europe/Paris' }), add.s(2, 3));
    app.addPeriodicTask('often', every('12h'), add.s(1, 1), { queue: 'slow' });
    // @ts-expect-error: an argument is missing
    app.addPeriodicTask('broken', every('500h'), add.s(1));
    const beat = new Beat(app, { store: new MemoryStore() });
    await beat.tick();
    await clock.advance(Date.UTC(2026, 0, 2, 1, 59) - START);
    await beat.tick();
    expect(names(sent)).toEqual(['math.add']);
    expect(sent[0]).toMatchObject({ args: [1, 1], options: { queue: 'slow' } });
    await clock.advance(60_000);
    await beat.tick();
    expect(sent[1]).toMatchObject({ args: [2, 3] });
    await app.close();
  });

  test.each([
    [3600, 0],
    [20 * 3600, 1],
  ])('a crontab missed for 10 hours with a deadline of %i s runs %i times', async (deadline, runs) => {
    const { app, clock, sent } = rig({
      beatCronStartingDeadline: deadline,
      beatSchedule: { noon: { task: 'math.tick', schedule: crontab({ hour: 12, minute: 0 }) } },
    });
    const beat = new Beat(app, { store: new MemoryStore() });
    await beat.tick();
    await clock.advance(Date.UTC(2026, 0, 1, 22) - START);
    await beat.tick();
    expect(sent).toHaveLength(runs);
    await clock.advance(14 * 3_600_000);
    await beat.tick();
    expect(sent).toHaveLength(runs + 1);
    await app.close();
  });

  test('what was decided and not known to be sent is sent again under its id', async () => {
    const settings = { beatSchedule: { tick: { task: 'math.tick', schedule: 30 } } };
    const { app, clock, sent } = rig(settings);
    const store = new MemoryStore();
    const beat = new Beat(app, { store });
    await beat.tick();
    await clock.advance(30_000);
    store.failAfter = store.saves + 1; // decided, sent, and then the power goes
    await expect(beat.tick()).rejects.toThrow('power cut');
    store.failAfter = Infinity;
    await new Beat(app, { store }).tick();
    expect(sent).toHaveLength(2);
    expect(sent[1]?.options['task_id']).toBe(sent[0]?.options['task_id']);
    expect(store.states.get('tick')?.pending).toBeUndefined();
    await app.close();
  });

  test('an entry that is replaced, added or taken away while beat runs', async () => {
    const { app, clock, sent } = rig();
    const tick = app.remoteTask<(what: string) => void>('math.tick');
    app.addPeriodicTask('a', every('10s'), tick.s('old'));
    const stop = new AbortController();
    const ended = new Beat(app, { store: new MemoryStore() }).run({ signal: stop.signal });
    await clock.advance('10s');
    app.addPeriodicTask('a', every('1s'), tick.s('new'));
    app.addPeriodicTask('b', every('2s'), tick.s('other'));
    await clock.advance('2s');
    app.periodicTasks.delete('a');
    await clock.advance('2s');
    expect(sent.map(({ args }) => args[0])).toEqual(['old', 'new', 'new', 'other', 'other']);
    stop.abort();
    await ended;
    await app.close();
  });

  test('changes of a store from outside are noticed within its time', async () => {
    const { app, clock, sent } = rig();
    const call = (word: string) => () => ({ ...app.remoteTask('math.tick').s().toJSON(), args: [word] });
    const entry = (name: string, more: Partial<PeriodicTask> = {}): PeriodicTask => {
      return { name, schedule: every('1s'), call: call(name), ...more };
    };
    let version = 1;
    let tasks = [entry('a'), entry('paused', { paused: true }), entry('twice', { maxRuns: 2 })];
    const store = new MemoryStore();
    store.load = async () => tasks.map((task) => ({ task, state: store.states.get(task.name) }));
    const polled = Object.assign(store, { pollMs: 3000, version: async () => version });
    const stop = new AbortController();
    const ended = new Beat(app, { store: polled }).run({ signal: stop.signal });
    await clock.advance(3500);
    const startMs = clock.now() + 10_000;
    version = 2;
    tasks = [entry('paused'), entry('window', { startMs, endMs: startMs + 2000 })];
    await clock.advance(20_000);
    const count = (word: string): number => sent.filter(({ args }) => args[0] === word).length;
    expect(count('twice')).toBe(2);
    expect(count('a')).toBeGreaterThanOrEqual(3);
    expect(count('a')).toBeLessThanOrEqual(6);
    expect(count('paused')).toBeGreaterThan(10);
    expect(count('window')).toBe(3);
    stop.abort();
    await ended;
    await app.close();
  });

  test('a store that fails is tried again, and nothing is sent without it', async () => {
    const { app, clock, sent } = rig({ beatSchedule: { tick: { task: 'math.tick', schedule: 30 } } });
    const store = new MemoryStore();
    const stop = new AbortController();
    const ended = new Beat(app, { store }).run({ signal: stop.signal });
    await clock.advance('29s');
    store.failAfter = store.saves;
    await clock.advance('10s');
    expect(sent).toHaveLength(0);
    store.failAfter = Infinity;
    await clock.advance('2s');
    expect(sent).toHaveLength(1);
    stop.abort();
    await ended;
    await app.close();
  });

  test('overlap: a run is left out, or waits, while the last one has no result', async () => {
    const { app, clock, sent } = rig({ backend: 'memory://' });
    await app.backend();
    await app.send('math.first'); // everything is loaded and connected from here on
    const tick = app.remoteTask<(what: string) => void>('math.tick');
    app.addPeriodicTask('skip', every('10s'), tick.s('skip'), { overlap: 'skip' });
    app.addPeriodicTask('wait', every('10s'), tick.s('wait'), { overlap: 'wait', overlapLimit: '60s' });
    const count = (word: string): number => sent.filter(({ args }) => args[0] === word).length;
    const finish = async (word: string): Promise<void> => {
      const taskId = sent.findLast(({ args }) => args[0] === word)?.options['task_id'] as string;
      const rest = { result: null, traceback: null, children: [], dateDone: null };
      await (await app.backend()).store({ taskId, status: 'SUCCESS', ...rest });
    };
    const stop = new AbortController();
    const ended = new Beat(app, { store: new MemoryStore() }).run({ signal: stop.signal });
    await clock.advance('35s');
    expect([count('skip'), count('wait')]).toEqual([1, 1]);
    await finish('skip');
    await finish('wait');
    await clock.advance('2s');
    expect([count('skip'), count('wait')]).toEqual([1, 2]); // at 35 s, when the last one ended
    await clock.advance('4s');
    expect([count('skip'), count('wait')]).toEqual([2, 2]); // at 40 s, its own time
    await clock.advance('50s');
    expect(count('wait')).toBe(2);
    await clock.advance('8s');
    expect(count('wait')).toBe(3); // it counts as lost
    stop.abort();
    await ended;
    await app.close();
  });

  test('jitter delays each run and does not move the schedule; looking late neither', async () => {
    const at = async (): Promise<number[]> => {
      const { app, clock } = rig();
      const moments: number[] = [];
      const send = app.sender.sendDetached.bind(app.sender);
      app.sender.sendDetached = (...given) => {
        moments.push(clock.now() - START);
        return send(...given);
      };
      app.addPeriodicTask('often', every('10s'), app.remoteTask<() => void>('math.tick').s(), { jitter: '5s' });
      const stop = new AbortController();
      const ended = new Beat(app, { store: new MemoryStore() }).run({ signal: stop.signal });
      await clock.advance('205s');
      stop.abort();
      await ended;
      await app.close();
      return moments;
    };
    const moments = await at();
    expect(moments).toHaveLength(20);
    const late = moments.map((ms, i) => ms - (i + 1) * 10_000);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...late)).toBeLessThanOrEqual(5000);
    expect(new Set(late).size).toBeGreaterThan(10);
    expect(await at()).toEqual(moments);
  });

  test('a deadline for catching up, for each entry', async () => {
    const settings = { task: 'math.tick', schedule: 3600 };
    const { app, clock, sent } = rig({
      beatSchedule: {
        always: { ...settings, args: ['always'] },
        hour: { ...settings, catchUp: 600, args: ['late'] },
        noon: { task: 'math.tick', schedule: crontab({ hour: 12, minute: 0 }), catchUp: '20h', args: ['noon'] },
        never: { task: 'math.tick', schedule: crontab({ hour: 12, minute: 0 }), catchUp: '1h', args: ['never'] },
      },
    });
    const store = new MemoryStore();
    await new Beat(app, { store }).tick();
    await clock.advance('5.5h');
    await new Beat(app, { store }).tick();
    expect(sent.map(({ args }) => args[0])).toEqual(['always', 'noon']);
    await clock.advance('1h');
    await new Beat(app, { store }).tick();
    expect(sent.map(({ args }) => args[0]).slice(2)).toEqual(['always', 'late']);
    await app.close();
  });

  test('a schedule of the application decides by more than the clock', async () => {
    const { app, clock, sent } = rig();
    let open = false;
    const whenOpen = {
      next: (lastRunMs: number) => lastRunMs + 1000,
      isDue: (_: number, { nowMs }: { nowMs: number }) => ({ due: open, lookAgainMs: nowMs + 5000 }),
      toString: () => '<when open>',
    };
    app.addPeriodicTask('open', whenOpen, app.remoteTask<() => void>('math.tick').s());
    const stop = new AbortController();
    const ended = new Beat(app, { store: new MemoryStore() }).run({ signal: stop.signal });
    await clock.advance('4s');
    expect(sent).toHaveLength(0);
    open = true;
    await clock.advance('1s');
    expect(sent).toHaveLength(0);
    await clock.advance('1s');
    expect(sent).toHaveLength(1);
    stop.abort();
    await ended;
    await app.close();
  });

  test('an entry without a name has the one that Celery gives it', async () => {
    const { app } = rig();
    const add = app.remoteTask<(...args: unknown[]) => void>('proj.add');
    app.addPeriodicTask(every('1s'), add.s(1, 2));
    app.addPeriodicTask(every('1s'), add.s());
    app.addPeriodicTask(every('1s'), add.s([1, 'a'], null));
    expect([...app.periodicTasks.keys()]).toEqual(['proj.add(1, 2)', 'proj.add()', "proj.add([1, 'a'], None)"]);
    await app.close();
  });

  test.each([{ overlap: 'never' }, { maxRuns: 0 }, { jitter: 'soon' }, { catchUp: -1 }, { start: 'tomorrow' }])(
    'refuses the policy %j',
    async (policy) => {
      const { app } = rig({ beatSchedule: { wrong: { task: 'a', schedule: 1, ...policy } } });
      await expect(new Beat(app, { store: new MemoryStore() }).tick()).rejects.toThrow(
        /"wrong": (overlap|max|jit|cat|st)/,
      );
      await app.close();
    },
  );

  test('what cannot be sent is done and reported', async () => {
    const { app, clock } = rig({
      beatSchedule: { bad: { task: 'math.tick', schedule: 30, args: () => [() => 0] } },
    });
    const beat = new Beat(app, { store: new MemoryStore() });
    await beat.tick();
    await clock.advance(30_000);
    expect(await beat.tick()).toBe(30_000);
    await app.close();
  });

  test('results that the store does not drop itself are cleaned up every night', async () => {
    const of = async (backend: string): Promise<string[]> => {
      const { app } = rig({ backend });
      const store = new MemoryStore();
      await new Beat(app, { store }).tick();
      await app.close();
      return [...store.states.keys()];
    };
    const folder = await mkdtemp(join(tmpdir(), 'celeriac-beat-'));
    expect(await of(`sqlite:///${folder}/results.db`)).toEqual(['celery.backend_cleanup']);
    expect(await of('disabled://')).toEqual([]);
    await rm(folder, { recursive: true });
  });

  test.each([{ task: 'a' }, { schedule: 1 }, { task: 'a', schedule: -1 }, { task: 'a', schedule: 'often' }, 'a'])(
    'refuses the entry %j by name',
    async (entry) => {
      const { app } = rig({ beatSchedule: { wrong: entry } });
      const failed = new Beat(app, { store: new MemoryStore() }).tick();
      await expect(failed).rejects.toThrow(ImproperlyConfigured);
      await expect(failed).rejects.toThrow(/"wrong"/);
      await app.close();
    },
  );
});

describe('schedulers', () => {
  class Own extends MemoryStore {
    static file = '';
    constructor({ file }: { readonly file: string }) {
      super();
      Own.file = file;
    }
  }
  test.each([
    ['class', Own],
    ['function', (context: { readonly file: string }) => new Own(context)],
    ['module', fileURLToPath(new URL('./own-scheduler.ts:OwnScheduler', import.meta.url))],
    ['default export', fileURLToPath(new URL('./own-scheduler.ts', import.meta.url))],
  ])('by %s', async (_, beatScheduler) => {
    const { app } = rig({ beatScheduler, beatScheduleFilename: '/tmp/x' });
    const store = await openStore(app);
    expect(store.name).toBe('memory');
    if (store instanceof Own) expect(Own.file).toBe('/tmp/x.json');
    await app.close();
  });

  test.each([
    ['nowhere', /no scheduler "nowhere".*file/],
    [fileURLToPath(new URL('./own-scheduler.ts:Nothing', import.meta.url)), /exports nothing named "Nothing"/],
    [fileURLToPath(new URL('./own-scheduler.ts:wrong', import.meta.url)), /gives no store/],
    [7, /neither a class nor a function/],
  ])('refuses %s', async (scheduler, message) => {
    const { app } = rig();
    await expect(openStore(app, { scheduler: scheduler as string })).rejects.toThrow(message);
    await app.close();
  });
});

describe('the schedule file', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'celeriac-beat-'))));
  afterEach(() => rm(folder, { recursive: true }));

  test('what cannot be read is kept aside', async () => {
    const file = join(folder, 'schedule.json');
    await writeFile(file, '{"version": 1, "entries": ');
    const { app } = rig();
    const context = { timezone: 'UTC', enableUtc: true };
    const task = { name: 'a', schedule: every('1s'), call: () => ({}) as SignatureDict };
    const store = new FileStore(file, app.log);
    expect(await store.load([task], context)).toEqual([{ task, state: undefined }]);
    expect(await readFile(`${file}.unreadable`, 'utf8')).toContain('"entries": ');
    const state = { lastRunMs: 1, totalRunCount: 2, pending: 'id' };
    await store.save(new Map([['a', state]]));
    expect(await new FileStore(file, app.log).load([task], context)).toEqual([{ task, state }]);
    const elsewhere = { timezone: 'Europe/Paris', enableUtc: true };
    expect(await new FileStore(file, app.log).load([task], elsewhere)).toEqual([{ task, state: undefined }]);
    await app.close();
  });
});
