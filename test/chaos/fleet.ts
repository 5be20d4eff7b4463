import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach } from 'vitest';
import { Celery, type CeleryOptions } from '../../src/index.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { Ledger } from '../support/ledger.ts';
import { startRabbit, type RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';

/*
 * Real `celeriac worker` processes over each broker and with each pool: what the stories of users are tried on.
 *
 * store   a broker and a result backend of one test
 * fleet   one store, its ledger, and the workers of one test; all of it ends with the test
 */

export const full: boolean = process.env['CELERIAC_CHAOS'] === 'full';
export type StoreName = 'sqlite' | 'redis' | 'rabbitmq';
export type PoolName = 'async' | 'solo' | 'thread' | 'process';

interface Store {
  readonly broker: string;
  readonly backend: string;
  close(): Promise<void>;
}

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const APP = fileURLToPath(new URL('./fleet-app.ts', import.meta.url));
/** Of what a worker prints, at least so much is kept. */
const MOST_TEXT = 1_000_000;
const closers: (() => unknown)[] = [];
let rabbit: Promise<RabbitServer> | undefined;

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});
afterAll(async () => {
  await (await rabbit)?.stop();
}, 60_000);

/** Why tests of a store are skipped, or undefined when they run. */
export const missingStore = (store: StoreName): string | undefined => (store === 'sqlite' ? undefined : missing(store));

async function open(name: StoreName): Promise<Store> {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-fleet-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  const file = `sqlite:///${join(folder, 'fleet.db')}`;
  if (name === 'sqlite') return { broker: file, backend: file, close: async () => remove() };
  if (name === 'redis') {
    const server = await startRedis();
    const url = server.url();
    return {
      broker: url,
      backend: url,
      close: async () => {
        await server.stop();
        remove();
      },
    };
  }
  rabbit ??= startRabbit();
  return { broker: await (await rabbit).vhost(), backend: file, close: async () => remove() };
}

export interface FleetWorker {
  readonly name: string;
  readonly pid: number;
  /** Its exit code; null: ended by a signal. */
  readonly code: Promise<number | null>;
  /** What it printed. */
  text(): string;
  kill(signal: NodeJS.Signals): void;
  alive(): boolean;
}

export interface Fleet {
  readonly app: Celery;
  readonly ledger: Ledger;
  readonly store: Store;
  /** Starts a worker; resolves when it is ready. */
  worker(argv?: readonly string[], env?: Readonly<Record<string, string>>): Promise<FleetWorker>;
  /** Messages that wait. */
  size(queue?: string): Promise<number>;
  /** Ids that began, once for each time. */
  starts(): string[];
}

export interface FleetOptions {
  readonly pool: PoolName;
  readonly concurrency: number;
  /** Settings of workers and of the app here. */
  readonly settings?: CeleryOptions;
}

export async function openFleet(
  storeName: StoreName,
  { pool, concurrency, settings = {} }: FleetOptions,
): Promise<Fleet> {
  const store = await open(storeName);
  const ledger = new Ledger();
  const { broker, backend } = store;
  const app = new Celery({ broker, backend, env: {}, ...settings });
  closers.push(
    () => store.close(),
    () => ledger.dispose(),
    () => app.close(),
  );
  const given = Object.entries(settings).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    CELERY_BROKER_URL: broker,
    CELERY_RESULT_BACKEND: backend,
    CHAOS_LEDGER: ledger.path,
  };
  let count = 0;
  return {
    app,
    ledger,
    store,
    worker: async (argv = [], more = {}) => {
      const name = `w${++count}@fleet`;
      const base = ['worker', '-A', APP, '-P', pool, '-c', String(concurrency), '-n', name];
      const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...base, ...argv, ...given], {
        env: { ...env, ...more },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      return ready(name, child);
    },
    size: async (queue = 'celery') => {
      await using connection = await (await app.transport()).connect();
      return await (await connection.channel()).size(queue);
    },
    starts: () => ledger.lines().flatMap(({ id, what }) => (what === 'start' ? [id] : [])),
  };
}

async function ready(name: string, child: ChildProcess): Promise<FleetWorker> {
  let text = '';
  const add = (chunk: Buffer): void => {
    text += chunk.toString();
    if (text.length > 4 * MOST_TEXT) text = text.slice(-MOST_TEXT);
  };
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', add);
  const code = once(child, 'exit').then(([status]) => status as number | null);
  const alive = (): boolean => child.exitCode === null && child.signalCode === null;
  closers.push(async () => {
    child.kill('SIGKILL');
    await code;
  });
  await until(() => text.includes(' ready.') || !alive(), { message: `${name} is ready`, timeoutMs: 90_000 });
  if (!alive()) throw new Error(`${name} ended:\n${text}`);
  return { name, pid: child.pid as number, code, text: () => text, kill: (signal) => void child.kill(signal), alive };
}
