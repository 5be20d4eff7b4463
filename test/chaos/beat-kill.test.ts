import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { RunState } from '../../src/beat/index.ts';
import { Celery } from '../../src/index.ts';
import { seededRandom } from '../../src/runtime/random.ts';
import { until } from '../support/until.ts';

/*
 * One beat with a file, killed at random moments of what it does. `CELERIAC_CHAOS=full` kills it 50 times.
 */

const KILLS = process.env['CELERIAC_CHAOS'] === 'full' ? 50 : 5;
const SEED = Number(process.env['CELERIAC_SEED'] ?? 20_261_125);
const MOMENTS = 100;
const SCRIPT = fileURLToPath(new URL('../beat/process.ts', import.meta.url));

test(`a beat killed ${KILLS} times misses nothing and sends nothing twice`, { timeout: 900_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-beat-'));
  const broker = `sqlite:///${folder}/broker.db`;
  const file = join(folder, 'schedule.json');
  const start = async (): Promise<ChildProcess> => {
    const argv = ['--import', 'tsx', SCRIPT, broker, file, String(MOMENTS)];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
    return child;
  };
  const states = (): Record<string, RunState> => {
    try {
      return (JSON.parse(readFileSync(file, 'utf8')) as { entries: Record<string, RunState> }).entries;
    } catch {
      return {}; // nothing is written yet
    }
  };
  const count = (): number => states()['tick']?.totalRunCount ?? 0;
  const random = seededRandom(SEED);
  for (let kill = 0; kill < KILLS; kill++) {
    const child = await start();
    const target = count() + 1 + Math.floor(random.next() * 4);
    await until(() => count() >= target, { message: `${target} runs`, timeoutMs: 60_000 });
    const moment = random.next() * 60;
    await new Promise((resolve) => setTimeout(resolve, moment));
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  const last = await start();
  const done = (): boolean =>
    Array.from({ length: MOMENTS }, (_, i) => states()[`moment-${i}`]).every(
      (one) => one?.totalRunCount === 1 && one.pending === undefined,
    );
  await until(done, { message: 'every moment had its run', timeoutMs: 120_000 });
  last.kill('SIGTERM');
  await once(last, 'exit');

  const app = new Celery({ broker, backend: 'disabled://', env: {} });
  const ids: string[] = [];
  const ran = new Map<string, number>();
  {
    await using connection = await (await app.transport()).connect();
    const channel = await connection.channel();
    for (let next = await channel.get('celery'); next; next = await channel.get('celery')) {
      const { id, argsrepr } = next.message.headers as Record<string, string>;
      ids.push(String(id));
      const name = String(argsrepr).replace(/[^\w-]/g, '');
      ran.set(name, (ran.get(name) ?? 0) + 1);
      await next.ack();
    }
  }
  const unique = new Set(ids).size;
  const decided = Object.values(states()).reduce((sum, { totalRunCount }) => sum + totalRunCount, 0);
  console.log(
    `beat: ${KILLS} kills (seed ${SEED}), ${decided} runs decided, ${unique} sent, ${ids.length - unique} twice`,
  );
  expect(unique).toBe(decided);
  expect(ids).toHaveLength(unique);
  expect(ran.get('tick')).toBe(count());
  for (let i = 0; i < MOMENTS; i++) expect(ran.get(`moment-${i}`), `moment ${i}`).toBe(1);
  await app.close();
  rmSync(folder, { recursive: true });
});
