import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Celery } from './celery.ts';
import { isApp, ModuleLoader, parseAppSpec } from './module-loader.ts';

let directory: string;
const APP = `const app = (main) => ({ [Symbol.for('celeriac.app')]: true, main });\n`;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'celeriac-load-'));
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);
  mkdirSync(join(directory, 'proj'));
  write('one.mjs', `${APP}export const worker = app('one');`);
  write('preferred.mjs', `${APP}export const other = app('other'); export const celery = app('celery');`);
  write('several.mjs', `${APP}export const first = app('1'); export const second = app('2');`);
  write('same.mjs', `${APP}export const first = app('same'); export { first as second };`);
  write('none.mjs', 'export const app = { not: "one" };');
  write('broken.mjs', 'throw new Error("it broke");');
  write('common.cjs', `${APP}exports.queue = app('common');`);
  write('proj/celery.mjs', `${APP}export default app('package');`);
  write('typed.ts', `${APP}export const app: unknown = app0; const app0: unknown = 1;`);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test.each([
  ['one.mjs', 'one'],
  ['./one.mjs', 'one'],
  ['one', 'one'],
  ['one:worker', 'one'],
  ['one.mjs:worker', 'one'],
  ['preferred', 'celery'],
  ['preferred:other', 'other'],
  ['same', 'same'],
  ['common', 'common'],
  ['proj', 'package'],
  ['proj.celery', 'package'],
  ['proj/celery.mjs', 'package'],
])('-A %s', async (spec, main) => {
  expect((await new ModuleLoader(directory).app(spec)).main).toBe(main);
});

test.each([
  ['missing', 'no module "missing"', 'Name the file'],
  ['several', 'several apps: first, second', '-A several.mjs:first'],
  ['none', 'exports no Celery app', 'export const app'],
  ['none:app', 'is no Celery app', 'export const app'],
  ['one:wroker', 'nothing named "wroker"', 'Did you mean one.mjs:worker?'],
])('-A %s is refused with a next step', async (spec, message, hint) => {
  await expect(new ModuleLoader(directory).app(spec)).rejects.toMatchObject({
    message: expect.stringContaining(message) as string,
    hint: expect.stringContaining(hint) as string,
  });
});

test('an app that throws shows where', async () => {
  await expect(new ModuleLoader(directory).app('broken')).rejects.toThrow(/it broke[\s\S]*broken\.mjs:1/);
});

test('a drive letter is no module with an export', () => {
  expect(parseAppSpec('C:\\app.ts')).toEqual({ module: 'C:\\app.ts', exportName: undefined });
  expect(parseAppSpec('C:\\app.ts:app')).toEqual({ module: 'C:\\app.ts', exportName: 'app' });
});

test('an app says what it is to other copies of the library', () => {
  const app: object = new Celery({ broker: 'memory://' });
  expect(Symbol.for('celeriac.app') in app).toBe(true);
  expect(isApp(app)).toBe(true);
});
