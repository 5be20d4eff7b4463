import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../../support/until.ts';
import type { Site } from './site.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** `celeriac beat -S django` as a process of its own, as an operator starts and stops it. */
export function commandLine(site: () => Site): void {
  test('command line: celeriac beat -S django runs the rows, and writes down what it ran', async () => {
    const { python, url } = site();
    const folder = mkdtempSync(join(tmpdir(), 'celeriac-django-cli-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const app = join(folder, 'app.ts');
    writeFileSync(
      app,
      `import { Celery } from '${ROOT}src/index.ts';
       export const app = new Celery({ broker: 'sqlite:///${folder}/broker.db', resultExpires: null, beatDatabase: '${url}' });`,
    );
    await python.run(`
second = IntervalSchedule.objects.create(every=1, period="seconds")
PeriodicTask.objects.create(name="tick", task="t.tick", interval=second)`);
    const celeriac = (...argv: string[]) =>
      spawn(process.execPath, ['--import', 'tsx', join(ROOT, 'src/cli/main.ts'), ...argv], {
        cwd: ROOT,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    const beat = celeriac('beat', '-A', app, '-S', 'django', '--max-interval', '1');
    onTestFinished(() => void beat.kill('SIGKILL'));
    let log = '';
    for (const stream of [beat.stdout, beat.stderr]) stream.on('data', (text) => (log += String(text)));
    const sent = (): number => log.split('Sending due task').length - 1;
    await until(() => sent() >= 2, { message: 'two runs', timeoutMs: 60_000 });
    const ended = once(beat, 'exit');
    beat.kill('SIGTERM');
    expect(await ended, log).toEqual([0, null]);
    expect(log).toContain(`db -> ${url}`);
    const count = await python.run(`result = PeriodicTask.objects.get(name="tick").total_run_count`);
    expect(count).toBe(sent());

    const list = celeriac('schedule', 'list', '-A', app, '-S', 'django');
    let table = '';
    list.stdout.on('data', (text) => (table += String(text)));
    await once(list, 'close');
    expect(table).toMatch(new RegExp(`tick +t\\.tick +<freq: 1\\.00 second> .* ${String(count)}\\n`));
  });
}
