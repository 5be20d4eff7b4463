import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import type { Celery, CeleryOptions } from '../../src/index.ts';
import type { Logger } from '../../src/runtime/logger.ts';
import { Worker, type WorkerOptions } from '../../src/worker/index.ts';
import { poolApp } from './app.ts';

export const appModule: string = fileURLToPath(new URL('./app.ts', import.meta.url));

export interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A logger that keeps what it is told. */
function recorder(lines: Line[], bound: Line['fields'] = {}): Logger {
  const at = (level: string) => (fields: Line['fields'], message: string) =>
    void lines.push({ level, message, fields: { ...bound, ...fields } });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    fatal: at('fatal'),
    child: (more) => recorder(lines, { ...bound, ...more }),
  };
}

const closers: (() => Promise<void>)[] = [];

export interface Started {
  readonly app: Celery;
  readonly worker: Worker;
  readonly lines: readonly Line[];
}

/** A worker with real children, on an embedded broker of its own unless a server is named; it ends with the test. */
export async function start(
  options: WorkerOptions,
  settings: CeleryOptions = {},
  make: typeof poolApp = poolApp,
  server?: string | { readonly broker: string; readonly backend: string },
): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-pool-'));
  const url = typeof server === 'string' ? server : `sqlite:///${join(folder, 'broker.db')}`;
  const { broker, backend } = typeof server === 'object' ? server : { broker: url, backend: url };
  const before = { ...process.env };
  // Through the environment, because the children read it too.
  Object.assign(process.env, { CELERY_BROKER_URL: broker, CELERY_RESULT_BACKEND: backend });
  const lines: Line[] = [];
  const app = make({ log: recorder(lines), ...settings });
  const worker = new Worker(app, { hostname: 'w@pools', concurrency: 2, appModule, ...options });
  closers.push(async () => {
    await worker.stop('cold');
    await app.close();
    process.env = before;
    rmSync(folder, { recursive: true, force: true });
  });
  await worker.start();
  return { app, worker, lines };
}

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

export async function get(app: Celery, name: string, args: unknown[], options = {}): Promise<unknown> {
  return (await app.send(name, args, options)).get({ timeout: '30s' });
}
