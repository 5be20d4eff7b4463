import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Lamport } from '../app/lamport.ts';
import { silentLogger, type Logger } from '../runtime/logger.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { eventually } from '../testing/eventually.ts';
import { RevokedIds } from './revoked.ts';
import { StateFile } from './state-file.ts';

/* What a worker remembers across restarts. */

let folder: string;
let file: string;
let clock: ManualClock;
let warnings: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'celeriac-state-'));
  file = join(folder, 'worker.state');
  clock = new ManualClock();
  warnings = [];
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function opened(): Promise<{ state: StateFile; revoked: RevokedIds; lamport: Lamport }> {
  const tell = (_: object, message: string): void => void warnings.push(message);
  const log: Logger = { ...silentLogger, warn: tell, error: tell };
  const revoked = new RevokedIds(clock);
  const lamport = new Lamport();
  const state = new StateFile(file, { revoked, lamport }, clock, log);
  await state.open();
  return { state, revoked, lamport };
}

test('ids, their ages and the clock survive a restart', async () => {
  const first = await opened();
  first.revoked.add('old', 10_000_000);
  first.revoked.add('new');
  first.lamport.adjust(41);
  await first.state.close();
  const second = await opened();
  expect(second.revoked.list()).toEqual(['old', 'new']);
  expect(second.lamport.value).toBeGreaterThan(42);
  await clock.advance(1_000_000);
  // Three hours in all, two of them before the restart.
  expect(second.revoked.list()).toEqual(['new']);
  await second.state.close();
  expect(warnings).toEqual([]);
});

test('a change is written soon, without an orderly end; nothing is written without one', async () => {
  const { revoked } = await opened();
  revoked.add('one');
  await clock.advance('1s');
  await eventually(() => readFileSync(file, 'utf8').includes('"one"'), 'the change is written');
  const before = lstatSync(file).ino;
  await clock.advance('5s');
  expect(lstatSync(file).ino).toBe(before);
  const { revoked: later } = await opened();
  expect(later.has('one')).toBe(true);
});

test.each([
  ['nothing', ''],
  ['half a file', '{"version":1,"clock":7,"revo'],
  ['something else', '{"version":2}'],
  ['wrong entries', '{"version":1,"clock":7,"revoked":[["a"]]}'],
  ['a pickle', '\u0080\u0004\u0095'],
])('a file with %s is reported, kept and replaced', async (_, text) => {
  writeFileSync(file, text);
  const { state, revoked } = await opened();
  expect(warnings).toEqual([expect.stringContaining('cannot be read')]);
  expect(readFileSync(`${file}.unreadable`, 'utf8')).toBe(text);
  revoked.add('one');
  await state.close();
  expect((await opened()).revoked.has('one')).toBe(true);
});

test('it is private, and does not follow a planted link', async () => {
  const target = join(folder, 'precious');
  writeFileSync(target, 'precious');
  symlinkSync(target, `${file}.new`);
  await expect(opened()).rejects.toThrow(/ELOOP/);
  expect(readFileSync(target, 'utf8')).toBe('precious');
  rmSync(`${file}.new`);
  const { state } = await opened();
  expect(lstatSync(file).mode & 0o777).toBe(0o600);
  await state.close();
});

test.skipIf(process.getuid?.() === 0)(
  'a folder that cannot be written is reported once (skipped for root, who may write everywhere)',
  async () => {
    const { state, revoked } = await opened();
    chmodSync(folder, 0o500);
    for (const id of ['one', 'two']) {
      revoked.add(id);
      await clock.advance('1s');
      await eventually(() => warnings.length > 0, 'it is reported');
    }
    expect(warnings).toHaveLength(1);
    chmodSync(folder, 0o700);
    await state.close();
    expect(existsSync(file)).toBe(true);
  },
);
