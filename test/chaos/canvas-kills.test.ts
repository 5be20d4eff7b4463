import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { plan } from '../../src/canvas/plan.ts';
import { chord, type AsyncResult, type Celery } from '../../src/index.ts';
import { seededRandom } from '../../src/runtime/random.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { chordApp, type CanvasWorkerOptions } from './canvas-worker.ts';

/*
 * Chords whose members are delivered twice and retried, on workers that are killed (users 9). Every body runs, its effect
 * happens once, its arguments are in the order of the header. `CELERIAC_CHAOS=full` runs all of them.
 */

const full = process.env['CELERIAC_CHAOS'] === 'full';
const CHORDS = full ? 500 : 15;
const PARTS = full ? 20 : 10;
const KILLS = full ? 60 : 2;
const DEATHS = full ? 100 : 1;

const script = fileURLToPath(new URL('./canvas-worker.ts', import.meta.url));
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function workerProcess(options: CanvasWorkerOptions): ChildProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  closers.push(() => void child.kill('SIGKILL'));
  return child;
}

async function ready(child: ChildProcess): Promise<void> {
  await Promise.race([once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data'), once(child, 'exit')]);
}

interface Bench {
  readonly url: string;
  readonly folder: string;
  readonly app: Celery;
  /** What is written for a chord: how often its body ran with what, and how often it had its effect. */
  told(id: string): { readonly bodies: readonly string[]; readonly effects: number };
}

async function bench(kind: 'redis' | 'sqlite'): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-chords-'));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  let url = `sqlite:///${join(folder, 'celeriac.db')}`;
  if (kind === 'redis') {
    const server = await startRedis();
    closers.push(() => server.stop());
    url = server.url();
  }
  const app = await chordApp({ url, folder });
  closers.push(async () => {
    const backend = await app.backend();
    await app.close();
    await backend.close();
  });
  return {
    url,
    folder,
    app,
    told: (id) => {
      const ledger = join(folder, 'ledger');
      const lines = existsSync(ledger) ? readFileSync(ledger, 'utf8').split('\n') : [];
      return {
        bodies: lines.filter((line) => line.startsWith(`body ${id} `)).map((line) => line.slice(`body ${id} `.length)),
        effects: lines.filter((line) => line === `effect ${id}`).length,
      };
    },
  };
}

const ORDER = (parts: number): string => Array.from({ length: parts }, (_, n) => n).join(',');

/** Sends a chord whose members `twice` picks reach the broker twice. */
async function send(app: Celery, id: string, parts: number, twice: () => boolean): Promise<AsyncResult<unknown>> {
  const part = app.remoteTask<(chord: string, n: number) => number>('part');
  const body = app.remoteTask<(values: number[], chord: string) => number>('body');
  const header = Array.from({ length: parts }, (_, n) => part.s(id, n));
  const ids = { uuid: () => app.random.uuid(), oid: app.oid };
  const { calls, chords, result } = plan(chord(header, body.s(id)).toJSON(), {}, ids);
  const { chords: counts } = await app.backend();
  for (const { groupId, size, group } of chords) await counts?.begin(groupId, size, group);
  for (const call of calls) {
    await app.publisher.publish(call, {});
    if (twice()) await app.publisher.publish(call, {});
  }
  return app.resultFrom(result);
}

const reason = missing('redis');
const KINDS = reason === undefined ? (['redis', 'sqlite'] as const) : (['sqlite'] as const);

describe.each(KINDS)(
  `chords on workers that are killed, on %s${reason === undefined ? '' : ` (${reason})`}`,
  (kind) => {
    test(`${CHORDS} chords, ${KILLS} kills, members delivered twice and retried`, { timeout: 1_200_000 }, async () => {
      const { url, folder, app, told } = await bench(kind);
      const random = seededRandom(9);
      let started = 0;
      const start = (): ChildProcess => workerProcess({ url, folder, name: `w${++started}@kills` });
      const workers = [start(), start()];
      await Promise.all(workers.map(ready));
      const sending = (async () => {
        const sent: AsyncResult<unknown>[] = [];
        for (let n = 0; n < CHORDS; n++) sent.push(await send(app, `c${n}`, PARTS, () => random.next() < 0.05));
        return sent;
      })();
      for (let kill = 0; kill < KILLS; kill++) {
        await wait(full ? 1_000 : 300);
        const at = kill % workers.length;
        workers[at]?.kill('SIGKILL');
        const next = start();
        workers[at] = next;
        await ready(next);
      }
      const results = await sending;
      const values = await Promise.all(results.map((result) => result.get({ timeout: full ? '300s' : '60s' })));
      expect(values).toEqual(results.map(() => PARTS));
      for (let n = 0; n < CHORDS; n++) {
        const { bodies, effects } = told(`c${n}`);
        expect([n, effects, [...new Set(bodies)]]).toEqual([n, 1, [ORDER(PARTS)]]);
      }
    });

    test(`${DEATHS} deaths between the last member and the body`, { timeout: 1_800_000 }, async () => {
      const { url, folder, app, told } = await bench(kind);
      for (let n = 0; n < DEATHS; n++) {
        const dying = workerProcess({ url, folder, name: `dies${n}@kills`, dies: true });
        const gone = once(dying, 'exit');
        await ready(dying);
        const id = `d${n}`;
        const result = await send(app, id, 4, () => false);
        await gone;
        expect(told(id)).toEqual({ bodies: [], effects: 0 });
        const worker = new Worker(app, { hostname: `heals${n}@kills`, concurrency: 8 });
        await worker.start();
        try {
          expect(await result.get({ timeout: '60s' })).toBe(4);
        } finally {
          await worker.stop('cold');
        }
        expect(told(id)).toEqual({ bodies: [ORDER(4)], effects: 1 });
      }
    });
  },
);
