import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Libsql from 'libsql';
import { afterEach, expect, test } from 'vitest';
import { Celery, OperationalError } from '../../src/index.ts';
import { seededRandom } from '../../src/runtime/random.ts';
import { Worker } from '../../src/worker/index.ts';
import { freeze } from '../support/freeze.ts';
import { Ledger } from '../support/ledger.ts';
import { until } from '../support/until.ts';

/*
 * Whole workers on the embedded broker that are stopped, killed or locked out. `CELERIAC_CHAOS=full` has more tasks.
 */

const full = process.env['CELERIAC_CHAOS'] === 'full';
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function file(): string {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-chaos-'));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'broker.db');
}

function openApp(path: string, settings: object = {}): Celery {
  const url = `sqlite:///${path}`;
  const app = new Celery({ broker: url, backend: url, env: {}, ...settings });
  closers.push(() => app.close());
  return app;
}

function openLedger(): Ledger {
  const ledger = new Ledger();
  closers.push(() => ledger.dispose());
  return ledger;
}

interface OurWorker {
  readonly process: ChildProcess;
  readonly lines: readonly string[];
}

async function ourWorker(path: string, ledger: Ledger, name: string, more: object = {}): Promise<OurWorker> {
  const script = fileURLToPath(new URL('../support/interop-worker.ts', import.meta.url));
  const url = `sqlite:///${path}`;
  const options = {
    broker: url,
    backend: url,
    ledger: ledger.path,
    name,
    concurrency: 4,
    transportOptions: {},
    ...more,
  };
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  closers.push(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  child.stdout.on('data', (chunk: Buffer) => lines.push(...chunk.toString().trim().split('\n')));
  await once(child.stdout, 'data');
  return { process: child, lines };
}

/** Looks into the file beside the broker. */
function count(path: string, where: string): number {
  const db = new Libsql(path, { readonly: true });
  try {
    return Number((db.prepare(`SELECT count(*) AS n FROM message WHERE ${where}`).get() as { n: number }).n);
  } finally {
    db.close();
  }
}

test(
  'a worker that was frozen loses its leases, tells its tasks, and neither stores nor acknowledges (users 2, 12)',
  { timeout: 150_000 },
  async () => {
    const path = file();
    const ledger = openLedger();
    const app = openApp(path);
    const frozen = await ourWorker(path, ledger, 'frozen@chaos', { settings: { workerSendTaskEvents: true } });
    const lost: unknown[] = [];
    const events = app.events({ types: ['lease-lost'] });
    void (async () => {
      for await (const { hostname, uuid } of events as AsyncIterable<Record<string, unknown>>)
        lost.push([hostname, uuid]);
    })();
    const ids = ['frozen-0', 'frozen-1', 'frozen-2', 'listens'];
    const handles = await Promise.all(
      ids.map((id) =>
        id === 'listens'
          ? app.send('shared.listen', [id, 'frozen@chaos'], { taskId: id })
          : app.send('shared.record', [id, 2_500], { taskId: id }),
      ),
    );
    await until(() => ledger.lines().length === ids.length, { message: 'all of them run' });
    await freeze(frozen.process, [path], seededRandom(12));
    await ourWorker(path, ledger, 'heir@chaos');
    await until(() => ledger.lost(ids).length === 0, { message: 'its tasks ran elsewhere', timeoutMs: 90_000 });
    await until(() => count(path, '1') === 0, { message: 'the heir has acknowledged them' });
    const stored = await Promise.all(handles.map((handle) => handle.snapshot()));
    expect(stored.map(({ state }) => state)).toEqual(ids.map(() => 'SUCCESS'));
    frozen.process.kill('SIGCONT');
    await until(() => ids.every((id) => frozen.lines.includes(`lease-lost ${id}`)), {
      message: 'it noticed that it had lost them',
    });
    for (const id of ids) expect(frozen.lines.filter((line) => line === `lease-lost ${id}`)).toHaveLength(1);
    const said = 'signal listens ERR_LEASE_LOST the lease of the message of task listens was lost';
    await until(() => frozen.lines.some((line) => line.startsWith(said)), { message: 'the task was told' });
    await until(() => ids.every((id) => lost.some((one) => String(one) === `frozen@chaos,${id}`)), {
      message: 'monitors are told',
    });
    expect(await Promise.all(handles.map((handle) => handle.snapshot()))).toEqual(stored);
  },
);

test('what a killed worker held waits again at once (users 3, 15)', { timeout: 120_000 }, async () => {
  const path = file();
  const ledger = openLedger();
  const app = openApp(path);
  const held = full ? 5_000 : 1_000;
  const holder = await ourWorker(path, ledger, 'holder@chaos', { prefetchMultiplier: held });
  await Promise.all(Array.from({ length: held }, (_, i) => app.send('shared.record', [`t${i}`, 600_000])));
  await until(() => count(path, 'owner IS NOT NULL') === held, { message: 'one worker holds all of them' });
  const witness = new Worker(openApp(path), { queues: ['other'], hostname: 'witness@chaos' });
  closers.push(() => witness.stop('cold'));
  await witness.start();
  holder.process.kill('SIGKILL');
  await until(() => count(path, 'owner IS NULL AND redelivered = 1') === held, {
    message: 'all of them wait again',
    timeoutMs: 30_000,
  });
});

test('publishing into a file that another process keeps locked ends in time, and works afterwards (users 6)', async () => {
  const path = file();
  const app = openApp(path, { publishTimeout: 1, resultBackend: 'disabled://' });
  await app.send('any');
  const rival = new Libsql(path);
  closers.push(() => rival.close());
  for (let turn = 0; turn < 2; turn++) {
    rival.exec('BEGIN IMMEDIATE');
    const settled = await Promise.allSettled(Array.from({ length: 200 }, () => app.send('any')));
    for (const one of settled) {
      expect(one.status === 'rejected' && one.reason).toBeInstanceOf(OperationalError);
    }
    rival.exec('COMMIT');
    await app.send('any', [], { publishTimeout: '30s' });
  }
});

test('far ETAs wait in the file, not in the worker (users 7)', { timeout: full ? 1_200_000 : 180_000 }, async () => {
  const path = file();
  const app = openApp(path);
  let immediate = 0;
  app.task('far', { ignoreResult: true }, () => undefined);
  app.task('now', { ignoreResult: true }, () => void immediate++);
  const worker = new Worker(app, { concurrency: 4, hostname: 'eta@chaos' });
  closers.push(() => worker.stop('cold'));
  await worker.start();
  const far = full ? 200_000 : 2_000;
  for (let sent = 0; sent < far; sent += 1_000) {
    await Promise.all(Array.from({ length: 1_000 }, () => app.send('far', [], { countdown: '1h' })));
  }
  await Promise.all(Array.from({ length: 200 }, () => app.send('now')));
  await until(() => immediate === 200, { message: 'the immediate tasks ran', timeoutMs: full ? 600_000 : 60_000 });
  await until(() => count(path, 'owner IS NOT NULL') === 0, { message: 'nothing is held', timeoutMs: 60_000 });
  expect(count(path, 'due > 0')).toBe(far);
  expect(await app.control.inspect({ timeout: '1s' }).scheduled()).toEqual({ 'eta@chaos': [] });
});
