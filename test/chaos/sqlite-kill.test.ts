import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/runtime/random.ts';
import { until } from '../support/until.ts';

const KILLS = 200;
/** What a killed consumer may have noted without the acknowledgement having been committed. */
const PREFETCH = 10;
const script = fileURLToPath(new URL('./sqlite-process.ts', import.meta.url));

// Each kill is followed by the start of a process: on a busy machine 200 of them take longer than five minutes.
test(`${KILLS} kills of writers and workers lose no confirmed message`, { timeout: 900_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-kill-'));
  const url = `sqlite:///${join(folder, 'broker.db')}`;
  const ledger = join(folder, 'ledger');
  const random = seededRandom(Date.now());
  let started = 0;
  const start = (mode: 'write' | 'work'): ChildProcess =>
    spawn(process.execPath, ['--import', 'tsx', script, mode, url, ledger, `p${++started}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  const ready = (child: ChildProcess): Promise<void> =>
    new Promise((resolve) => {
      child.stdout?.once('data', () => resolve());
      child.once('exit', () => resolve());
    });
  /** Ids by what happened to them, with how often. */
  const read = (what: string): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const line of readFileSync(ledger, 'utf8').split('\n')) {
      if (!line.startsWith(what)) continue;
      const id = line.slice(what.length + 1);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    return counts;
  };
  const slots: { readonly mode: 'write' | 'work'; child: ChildProcess }[] = (
    ['write', 'write', 'work', 'work'] as const
  ).map((mode) => ({ mode, child: start(mode) }));
  try {
    await Promise.all(slots.map(({ child }) => ready(child)));
    let kills = 0;
    // Each slot is killed and started again by itself, so that four processes die at unrelated moments.
    await Promise.all(
      slots.map(async (slot) => {
        while (kills < KILLS) {
          await wait(random.next() * 150);
          kills++;
          slot.child.kill('SIGKILL');
          slot.child = start(slot.mode);
          await ready(slot.child);
        }
      }),
    );
    for (const { child } of slots) child.kill('SIGKILL');
    const last = start('work');
    slots.push({ mode: 'work', child: last });
    const confirmed = read('confirmed');
    await until(
      () => {
        const ended = read('ended');
        return [...confirmed.keys()].every((id) => ended.has(id));
      },
      { message: 'every confirmed message ended', timeoutMs: 120_000 },
    );
    const ended = read('ended');
    const duplicates = [...ended.values()].filter((count) => count > 1).length;
    expect(kills).toBeGreaterThanOrEqual(KILLS);
    expect(confirmed.size).toBeGreaterThan(KILLS);
    expect(duplicates).toBeLessThanOrEqual(kills * PREFETCH);
    console.log(`${kills} kills, ${confirmed.size} confirmed, 0 lost, ${duplicates} delivered again`);
  } finally {
    for (const { child } of slots) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});
