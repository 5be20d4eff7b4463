import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { poolApp } from './app.ts';
import { get, start } from './support.ts';

const module = fileURLToPath(new URL('./signals-app.ts', import.meta.url));

test.each(['process', 'thread'])('signals of the children of a %s pool are told where they belong', async (pool) => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-signals-'));
  const file = join(folder, 'told');
  process.env['SIGNALS_FILE'] = file;
  const before: string[] = [];
  const { app, worker } = await start({ pool, concurrency: 2, appModule: module }, {}, (options) => {
    const made = poolApp(options);
    made.task('place', () => 'in the parent');
    made.on('workerBeforeCreateProcess', ({ sender }) => void before.push(sender));
    return made;
  });
  expect(before).toEqual(['w@pools', 'w@pools']);
  const pids = [...worker.processes];
  const place = await get(app, 'place', []);
  await worker.stop();
  const told = readFileSync(file, 'utf8').trim().split('\n');
  const places = told.filter((line) => line.startsWith('init')).map((line) => line.split(' ').at(-1));
  expect(new Set(places).size).toBe(2);
  expect(places).toContain(place);
  if (pool === 'process') expect(pids).not.toContain(process.pid);
  const of = (at: string | undefined): string => String(at).split('/')[0] as string;
  expect(places.map(of).sort()).toEqual(pids.map(String).sort());
  // Each once in each child, with its own id, and nothing of the parent's.
  expect(told.sort()).toEqual(
    places.flatMap((at) => [`init w@pools ${of(at)} ${at}`, `shutdown w@pools ${of(at)} 0 ${at}`]).sort(),
  );
  rmSync(folder, { recursive: true, force: true });
});
