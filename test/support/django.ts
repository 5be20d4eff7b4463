import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PYTHON } from './global-setup.ts';
import type { SqlServer } from './sql-servers.ts';

const FOLDER = fileURLToPath(new URL('./python/', import.meta.url));

export interface DjangoProject {
  /** The entry of `DATABASES`. */
  readonly database: Readonly<Record<string, unknown>>;
  /** More of Django's settings. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly broker?: string;
  /** Settings of its Celery app, under Python's names. */
  readonly celery?: Readonly<Record<string, unknown>>;
}

export const onPostgres = ({ port, user, database }: SqlServer): Record<string, unknown> => ({
  ENGINE: 'django.db.backends.postgresql',
  NAME: database,
  USER: user,
  HOST: '127.0.0.1',
  PORT: port,
});

export const onMariadb = ({ port, user, database }: SqlServer): Record<string, unknown> => ({
  ENGINE: 'django.db.backends.mysql',
  NAME: database,
  USER: user,
  HOST: '127.0.0.1',
  PORT: port,
});

export const onSqlite = (file: string): Record<string, unknown> => ({
  ENGINE: 'django.db.backends.sqlite3',
  NAME: file,
});

const environment = (project: DjangoProject): NodeJS.ProcessEnv => ({
  ...process.env,
  DJANGO_SIDE: JSON.stringify(project),
  PYTHONDONTWRITEBYTECODE: '1',
});

/** A Python process with Django set up. */
export interface Django extends AsyncDisposable {
  /** Runs Python code with the models in reach; resolves to what it left in `result`. */
  run<T = unknown>(code: string): Promise<T>;
}

export function django(project: DjangoProject): Django {
  const child = spawn(PYTHON, ['-u', 'django_side.py'], {
    cwd: FOLDER,
    env: environment(project),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += String(chunk)));
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    run: async <T>(code: string): Promise<T> => {
      child.stdin.write(`${JSON.stringify(code)}\n`);
      const { value, done } = await answers.next();
      if (done) throw new Error(`Django ended:\n${log}`);
      const { result, error } = JSON.parse(value) as { result: T; error?: string };
      if (error !== undefined) throw new Error(error);
      return result;
    },
    async [Symbol.asyncDispose]() {
      process.removeListener('exit', kill);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      kill();
      await gone;
    },
  };
}

export interface DjangoBeat extends AsyncDisposable {
  readonly log: () => string;
  /** As an operator stops it; resolves when it has written everything down. */
  stop(): Promise<void>;
}

/** `celery -A django_side beat -S django` */
export function djangoBeat(project: DjangoProject): DjangoBeat {
  const dir = mkdtempSync(join(tmpdir(), 'celeriac-django-beat-'));
  const args = ['-m', 'celery', '-A', 'django_side', 'beat', '-S', 'django', '-l', 'INFO', '--max-interval', '1'];
  const child = spawn(PYTHON, ['-u', ...args, '--pidfile', ''], {
    cwd: dir,
    env: { ...environment(project), PYTHONPATH: FOLDER },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += String(chunk)));
  const gone = once(child, 'exit');
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await gone;
    process.removeListener('exit', kill);
    rmSync(dir, { recursive: true, force: true });
  };
  return { log: () => log, stop: () => end('SIGTERM'), [Symbol.asyncDispose]: () => end('SIGKILL') };
}
