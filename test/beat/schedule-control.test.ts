import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Beat, FileStore, openSchedule, type ScheduleControl } from '../../src/beat/index.ts';
import { Celery, every, type SignatureDict } from '../../src/index.ts';
import { ManualClock } from '../../src/testing/index.ts';
import { until } from '../support/until.ts';

let folder: string;
let app: Celery;
let clock: ManualClock;
let sent: SignatureDict[];
let ids: string[];
let control: ScheduleControl;
let stop: AbortController;
let ended: Promise<void>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'celeriac-schedule-'));
  clock = new ManualClock(Date.UTC(2026, 0, 1));
  app = new Celery({
    broker: 'memory://',
    backend: 'disabled://',
    clock,
    beatScheduleFilename: join(folder, 'schedule'),
  });
  sent = [];
  ids = [];
  app.sender.sendDetached = async (dict) => {
    sent.push(dict);
    ids.push(dict.options['task_id'] as string);
    return undefined as never;
  };
  app.addPeriodicTask('fixed', every('1s'), app.remoteTask<(what: string) => void>('math.tick').s('fixed'));
  control = await openSchedule(app);
  stop = new AbortController();
  ended = new Beat(app).run({ signal: stop.signal });
});

afterEach(async () => {
  stop.abort();
  await ended;
  await control.close();
  await app.close();
  await rm(folder, { recursive: true });
});

/** The schedule file is real, and answers in real time; the beat's clock moves meanwhile. */
async function passUntil(check: () => boolean | Promise<boolean>, message: string): Promise<void> {
  await until(
    async () => {
      await clock.advance(250);
      return check();
    },
    { message },
  );
}

const count = (word: string): number => sent.filter(({ args }) => args[0] === word).length;

/** Long enough for an entry of one second to run, and for a change to be noticed. */
async function pulse(word: string): Promise<void> {
  const target = count(word) + 5;
  await passUntil(() => count(word) >= target, `${word} ran five times more`);
}

test('a running beat takes what is added, changed, paused, resumed, asked for and removed', async () => {
  await pulse('fixed');
  await control.add('more', { task: 'math.tick', schedule: 1, args: ['more'] });
  await pulse('more');

  await control.change('fixed', { args: ['changed'] });
  await pulse('changed');
  await control.pause('more');
  await pulse('changed');
  const before = count('more');
  await pulse('changed');
  expect(count('more')).toBe(before);
  expect(await control.get('more')).toMatchObject({ paused: true, nextMs: undefined, args: ['more'] });

  const id = await control.runNow('more');
  await passUntil(() => count('more') > before, 'the run that was asked for');
  await pulse('changed');
  expect(count('more')).toBe(before + 1);
  expect(ids).toContain(id);
  expect((await control.get('more')).totalRunCount).toBe(before + 1);

  await control.change('more', { schedule: { crontab: '0 3 * * *', timezone: 'Europe/Paris' } });
  await control.resume('more');
  await pulse('changed');
  expect(count('more')).toBe(before + 1);
  expect((await control.get('more')).nextMs).toBe(Date.UTC(2026, 0, 1, 2));

  await control.remove('more');
  await control.remove('fixed');
  expect(await control.list()).toEqual([]);
  await control.add('other', { task: 'math.tick', schedule: 1, args: ['other'] });
  await pulse('other');
  const total = sent.length - count('other');
  await pulse('other');
  expect(sent.length - count('other')).toBe(total);
  await control.reset('fixed');
  expect((await control.list())[0]).toMatchObject({
    name: 'fixed',
    task: 'math.tick',
    schedule: '<freq: 1.00 second>',
  });
});

test('refuses what cannot be', async () => {
  await expect(control.add('fixed', { task: 'a', schedule: 1 })).rejects.toThrow(/there is an entry "fixed" already/);
  await expect(control.add('x', { task: 'a', schedule: -1 })).rejects.toThrow(/"x": an interval is longer than 0/);
  await expect(control.add('x', { task: 'a', schedule: { crontab: 'x' } })).rejects.toThrow(/five fields/);
  await expect(control.change('fixed', { sched: 1 } as object)).rejects.toThrow(/unknown sched; known: task, schedule/);
  for (const verb of ['pause', 'resume', 'remove', 'runNow', 'get'] as const) {
    await expect(control[verb]('x')).rejects.toThrow(/there is no entry "x"/);
  }
});

test('many editors at a time; a lock left behind; a file that cannot be read', async () => {
  const file = join(folder, 'other.json');
  const stores = Array.from({ length: 5 }, () => new FileStore(file, app.log));
  await writeFile(`${file}.edits.lock`, '');
  await utimes(`${file}.edits.lock`, 1, 1);
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      (stores[i % 5] as FileStore).editor.set(`entry-${i}`, { task: 'a', schedule: 1 }),
    ),
  );
  const context = { timezone: 'UTC', enableUtc: true };
  const store = new FileStore(file, app.log);
  expect(await store.load([], context)).toHaveLength(20);
  await store.editor.set('broken', { task: 'a', schedule: 'often' as '1s' });
  expect(await store.load([], context)).toHaveLength(20);
  await writeFile(`${file}.edits`, '{');
  expect(await store.load([], context)).toHaveLength(0);
  expect(await readFile(`${file}.edits.unreadable`, 'utf8')).toBe('{');
});
