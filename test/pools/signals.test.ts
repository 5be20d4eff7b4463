import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { poolApp } from './app.ts';
import { start } from './support.ts';

test(
  'signals of children come from the children, those before them from the worker',
  { timeout: 120_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'celeriac-signals-'));
    const file = join(folder, 'signals');
    writeFileSync(file, '');
    process.env['SIGNALS_FILE'] = file;
    const lines = (): string[] => readFileSync(file, 'utf8').trim().split('\n').filter(Boolean);
    const before: string[] = [];
    try {
      const appModule = fileURLToPath(new URL('./signals-app.ts', import.meta.url));
      const { app, worker } = await start({ pool: 'process', appModule }, {}, (options) => {
        const made = poolApp(options);
        made.on('workerBeforeCreateProcess', ({ sender }) => void before.push(sender));
        return made;
      });
      const pid = await (await app.send<number>('pid')).get({ timeout: '30s' });
      await until(() => lines().length === 2, { message: 'both children have begun', timeoutMs: 30_000 });
      expect(before).toEqual(['w@pools', 'w@pools']);
      const pids = lines().map((line) => line.split(' ')[2]);
      expect(pids).toContain(String(pid));
      expect(pids).not.toContain(String(process.pid));
      expect(lines().sort()).toEqual(pids.map((one) => `init w@pools ${one} ${one}`).sort());
      await worker.stop('warm');
      await until(() => lines().length === 4, { message: 'both children have ended', timeoutMs: 30_000 });
      expect(lines().slice(2).sort()).toEqual(pids.map((one) => `shutdown 0 w@pools ${one} ${one}`).sort());
    } finally {
      delete process.env['SIGNALS_FILE'];
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
