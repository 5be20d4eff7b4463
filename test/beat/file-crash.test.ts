import { describe, expect, test, vi } from 'vitest';
import { configuredEntries } from '../../src/beat/configured.ts';
import { Beat, FileStore } from '../../src/beat/index.ts';
import { Celery } from '../../src/index.ts';
import { silentLogger, type Logger } from '../../src/runtime/logger.ts';
import { ManualClock } from '../../src/testing/index.ts';
import { CrashDisk, type End } from './crash-disk.ts';

/*
 * The schedule file and its edits, with an end before and after each call to the file system, one after the other. Real
 * kills of real processes: test/chaos/beat-kill.test.ts.
 */

let disk: CrashDisk;
vi.mock('node:fs/promises', () => {
  const names = ['open', 'readFile', 'rename', 'rm', 'stat'] as const;
  return Object.fromEntries(
    names.map((name) => [
      name,
      (...args: unknown[]) => (disk.calls[name] as (...given: unknown[]) => unknown)(...args),
    ]),
  );
});

const FILE = '/schedules/beat.json';
const UTC = { timezone: 'UTC', enableUtc: true };
const MOMENTS = 3;
const ENDS: readonly End[] = ['killed', 'power cut', 'power cut, names kept', 'fails once'];

/** A logger, and the errors that it is told of by those that live. */
function errorLog(): { readonly log: Logger; readonly errors: string[] } {
  const errors: string[] = [];
  const log: Logger = {
    ...silentLogger,
    error: (_, message) => void (disk.dead || errors.push(message)),
    child: () => log,
  };
  return { log, errors };
}

interface Run {
  readonly id: unknown;
  readonly moment: number;
}

/** A beat for some moments; where its process ends the next one starts at once. */
async function beats(at: number, end: End): Promise<{ sent: Run[]; points: number; errors: string[] }> {
  const clock = new ManualClock();
  const startMs = clock.now();
  disk = new CrashDisk(clock);
  disk.endAt(at, end);
  const { log, errors } = errorLog();
  const beatSchedule = { tick: { task: 'tick', schedule: 10 } };
  const app = new Celery({ broker: 'memory://', backend: 'disabled://', env: {}, clock, log, beatSchedule });
  const sent: Run[] = [];
  app.sender.sendDetached = async (dict) => {
    if (end !== 'fails once') disk.point('before sending');
    sent.push({ id: dict.options['task_id'], moment: (clock.now() - startMs) / 10_000 });
    if (end !== 'fails once') disk.point('after sending');
    return undefined as never;
  };
  let beat = new Beat(app, { store: new FileStore(FILE, log, clock) });
  for (let moment = 0; moment <= MOMENTS; moment++) {
    if (moment > 0) await clock.advance('10s');
    for (let tries = 0; ; tries++) {
      try {
        await beat.tick();
        if (!disk.dead) break;
      } catch (error) {
        if (tries > 1) throw error;
      }
      if (!disk.dead) continue;
      disk.restart();
      beat = new Beat(app, { store: new FileStore(FILE, log, clock) });
    }
  }
  const { points } = disk;
  disk.endAt(Infinity, end);
  const [stored] = await new FileStore(FILE, log, clock).load(await configuredEntries(app), UTC);
  expect([at, stored?.state?.totalRunCount, stored?.state?.pending]).toEqual([at, MOMENTS, undefined]);
  await app.close();
  return { sent, points, errors };
}

describe.each(ENDS)('%s', (end) => {
  test('at each point: nothing is lost, nothing runs under two ids, the file can be read', async () => {
    const { points, sent } = await beats(Infinity, end);
    expect(sent.map(({ moment }) => moment)).toEqual([1, 2, 3]);
    expect(points).toBeGreaterThan(50);
    for (let at = 1; at <= points; at++) {
      const told = await beats(at, end);
      const ids = new Map(told.sent.map(({ id, moment }) => [id, moment]));
      expect([at, [...ids.values()]]).toEqual([at, [1, 2, 3]]);
      expect([at, told.sent.length <= MOMENTS + 1, told.errors]).toEqual([at, true, []]);
    }
  });

  test('at each point of an edit: it is there or it is not, and the next editor can work', async () => {
    const edit = async (at: number): Promise<number> => {
      const clock = new ManualClock();
      disk = new CrashDisk(clock);
      const { log, errors } = errorLog();
      const open = (): FileStore => new FileStore(FILE, log, clock);
      await open().editor.set('first', { task: 'a', schedule: 10 });
      const before = disk.points;
      disk.endAt(before + at, end);
      const done = await open()
        .editor.set('second', { task: 'b', schedule: 20 })
        .then(
          () => true,
          () => false,
        );
      const after = disk.points - before;
      disk.restart();
      const names = async (): Promise<string[]> => (await open().load([], UTC)).map(({ task }) => task.name).toSorted();
      const kept = await names();
      expect([at, kept.filter((name) => name !== 'second')]).toEqual([at, ['first']]);
      if (done) expect([at, kept]).toEqual([at, ['first', 'second']]);
      // What it left behind counts for nobody after ten seconds.
      await clock.advance('11s');
      await open().editor.set('third', { task: 'c', schedule: 30 });
      expect([at, await names()]).toEqual([at, [...kept, 'third']]);
      expect([at, errors]).toEqual([at, []]);
      return after;
    };
    const points = await edit(Infinity);
    expect(points).toBeGreaterThan(10);
    for (let at = 1; at <= points; at++) await edit(at);
  });
});
