import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { Ledger } from '../support/ledger.ts';
import { until } from '../support/until.ts';

/*
 * Children, and sometimes their worker, are killed while tasks run: nothing is lost.
 * `CELERIAC_CHAOS=full` has ten times the tasks.
 */

const TASKS = process.env['CELERIAC_CHAOS'] === 'full' ? 10_000 : 1_000;
const script = fileURLToPath(new URL('./pool-worker.ts', import.meta.url));

async function underFire(url: string, parentKills: number): Promise<void> {
  const ledger = new Ledger();
  let killed = 0;
  const start = (): ChildProcess => {
    const env = { ...process.env, CELERY_BROKER_URL: url, CELERY_RESULT_BACKEND: url, CHAOS_LEDGER: ledger.path };
    const child = spawn(process.execPath, ['--import', 'tsx', script, 'process', '1000'], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout?.on('data', (chunk) => (killed += String(chunk).split('killed').length - 1));
    return child;
  };
  const app = new Celery({ broker: url, backend: url, env: {} });
  const ids = Array.from({ length: TASKS }, (_, i) => `t${i}`);
  await Promise.all(ids.map((id) => app.send('work', [id])));
  let worker = start();
  try {
    for (let round = 1; round <= parentKills; round++) {
      await until(() => ledger.ends().size > (round * TASKS) / (2 * parentKills + 1), {
        message: 'progress',
        timeoutMs: 90_000,
      });
      const gone = once(worker, 'exit');
      worker.kill('SIGKILL');
      await gone;
      worker = start();
    }
    await until(() => ledger.lost(ids).length === 0, { message: 'every task ended', timeoutMs: 150_000 });
    const duplicates = ledger.duplicates().length;
    expect(killed).toBeGreaterThan(2);
    // A child that dies takes its two slots with it, a worker what it had fetched (3 children x 2 slots x 4).
    expect(duplicates).toBeLessThanOrEqual(killed * 2 + parentKills * 24);
    console.log(
      `${TASKS} tasks, ${killed} children and ${parentKills} workers killed, 0 lost, ${duplicates} run twice`,
    );
  } finally {
    const gone = once(worker, 'exit');
    worker.kill('SIGKILL');
    await gone;
    await app.close();
    ledger.dispose();
  }
}

test('SQLite: killed children and workers lose nothing', { timeout: 300_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-pool-chaos-'));
  try {
    await underFire(`sqlite:///${join(folder, 'broker.db')}`, 1);
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});

test.skipIf(missing('redis'))('Redis: killed children and workers lose nothing', { timeout: 300_000 }, async () => {
  const server = await startRedis();
  try {
    await underFire(server.url(), 1);
  } finally {
    await server.stop();
  }
});
