import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findFiles } from './discover.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'celeriac-discover-'));
  for (const file of [
    'a.tasks.ts',
    'sub/b.tasks.ts',
    'sub/deep/c.tasks.js',
    'sub/other.ts',
    'node_modules/x/d.tasks.ts',
  ]) {
    await mkdir(join(root, file, '..'), { recursive: true });
    await writeFile(join(root, file), '');
  }
});
afterAll(() => rm(root, { recursive: true }));

test.each([
  ['**/*.tasks.ts', ['a.tasks.ts', 'sub/b.tasks.ts']],
  ['*.tasks.ts', ['a.tasks.ts']],
  ['sub/**/*.tasks.{ts,js}', ['sub/b.tasks.ts', 'sub/deep/c.tasks.js']],
  ['sub/?.tasks.ts', ['sub/b.tasks.ts']],
  ['a.tasks.ts', ['a.tasks.ts']],
])('%s', async (glob, expected) => {
  expect((await findFiles(glob, root)).map((file) => relative(root, file))).toEqual(expected);
});

test.each(['missing/**/*.ts', 'a.tasks.ts/*.ts'])('%s: the folder it begins with is named', async (glob) => {
  await expect(findFiles(glob, root)).rejects.toThrow(
    `discover "${glob}": the folder ${join(root, glob.split('/')[0] ?? '')}`,
  );
});
