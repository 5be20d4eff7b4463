import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { PYTHON } from './global-setup.ts';
import { until } from './until.ts';

/*
 * Real Python Celery on the other side: a worker, its command line, and calls sent from a Python process.
 */

const FOLDER = fileURLToPath(new URL('./python/', import.meta.url));

export interface PythonSide {
  readonly broker: string;
  readonly backend: string;
  readonly ledger?: string;
  /** Seconds; Celery's own default is an hour. */
  readonly visibilityTimeout?: number;
  /** `py.step` counts its runs in the hash `counts` of the backend. */
  readonly counts?: boolean;
  /** More of Python's settings. */
  readonly config?: Readonly<Record<string, unknown>>;
}

function environment({ broker, backend, ledger, visibilityTimeout, counts, config }: PythonSide): NodeJS.ProcessEnv {
  return {
    ...process.env,
    INTEROP_BROKER: broker,
    INTEROP_BACKEND: backend,
    INTEROP_LEDGER: ledger ?? '/dev/null',
    INTEROP_CONFIG: JSON.stringify(config ?? {}),
    ...(counts === true && { INTEROP_COUNTS: '1' }),
    ...(visibilityTimeout !== undefined && { INTEROP_VISIBILITY: String(visibilityTimeout) }),
    PYTHONDONTWRITEBYTECODE: '1',
  };
}

export interface PythonWorker extends AsyncDisposable {
  readonly process: ChildProcess;
  /** What it has logged so far. */
  readonly log: () => string;
}

/** A Celery worker that is ready when the promise resolves. */
export async function pythonWorker(
  side: PythonSide,
  options: {
    readonly queues?: string;
    readonly name?: string;
    readonly concurrency?: number;
    readonly pool?: string;
  } = {},
): Promise<PythonWorker> {
  const { queues = 'celery', name = 'py@test', concurrency = 2, pool = 'threads' } = options;
  const args = ['-m', 'celery', '-A', 'tasks', 'worker', '-l', 'INFO', '-P', pool, '-c', String(concurrency)];
  const child = spawn(PYTHON, [...args, '-Q', queues, '-n', name], {
    cwd: FOLDER,
    env: environment(side),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const killGroup = (): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(-child.pid, 'SIGKILL');
  };
  process.once('exit', killGroup);
  child.once('exit', () => process.removeListener('exit', killGroup));
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  try {
    await until(() => log.includes('ready.') || ended(), { message: 'the Python worker is ready', timeoutMs: 60_000 });
  } catch (error) {
    killGroup();
    throw new Error(`the Python worker did not get ready:\n${log}`, { cause: error });
  }
  if (ended()) throw new Error(`the Python worker ended:\n${log}`);
  return {
    process: child,
    log: () => log,
    async [Symbol.asyncDispose]() {
      if (ended()) return;
      const gone = once(child, 'exit');
      killGroup();
      await gone;
    },
  };
}

/** One call for `pythonCalls`; options are those of `send_task`, under Python's names. */
export interface PythonCall {
  readonly name: string;
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  readonly options?: Readonly<Record<string, unknown>>;
  /** Do not wait for the result. */
  readonly forget?: boolean;
}

export interface PythonOutcome {
  readonly id: string;
  readonly state?: string;
  readonly value?: unknown;
  /** Python's name of the value's type. */
  readonly type?: string;
  readonly error?: string;
  readonly args?: readonly string[];
  readonly traceback?: string | null;
}

/** Sends the calls from a Python process and awaits their results there. */
export async function pythonCalls(side: PythonSide, calls: readonly PythonCall[]): Promise<PythonOutcome[]> {
  const { stdout } = await run(side, ['call.py'], JSON.stringify(calls));
  return JSON.parse(stdout) as PythonOutcome[];
}

/** Builds, sends and awaits canvases in one Python process. @param seconds for all of them together */
export async function pythonCanvases<T>(side: PythonSide, cases: readonly unknown[], seconds: number): Promise<T[]> {
  const { stdout } = await run(side, ['canvas.py'], JSON.stringify({ cases, seconds }), false, (seconds + 60) * 1000);
  return JSON.parse(stdout) as T[];
}

/** Runs a script of this folder with its wish as JSON on its input; resolves to the JSON it writes. */
export async function pythonScript<T>(script: string, wish: unknown): Promise<T> {
  const { stdout } = await run({ broker: '', backend: '' }, [script], JSON.stringify(wish));
  return JSON.parse(stdout) as T;
}

/** Reads results in one Python process, as Celery's client does; `results.py` has the operations. */
export async function pythonResults(side: PythonSide, requests: readonly object[]): Promise<unknown[]> {
  const { stdout } = await run(side, ['results.py'], JSON.stringify(requests));
  return JSON.parse(stdout) as unknown[];
}

/** `celery -A tasks …`, as an operator types it. */
export function celeryCli(side: PythonSide, ...args: string[]): Promise<{ stdout: string; code: number | null }> {
  return run(side, ['-m', 'celery', '-A', 'tasks', ...args], undefined, true);
}

/** A command of Celery's command line that goes on until it is killed: `events --dump`, `flower`. */
export interface PythonMonitor extends AsyncDisposable {
  /** What it has written so far. */
  readonly output: () => string;
}

export function pythonMonitor(
  side: PythonSide,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): PythonMonitor {
  const child = spawn(PYTHON, ['-u', '-m', 'celery', '-A', 'tasks', ...args], {
    cwd: FOLDER,
    env: { ...environment(side), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  return {
    output: () => output,
    async [Symbol.asyncDispose]() {
      process.removeListener('exit', kill);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      kill();
      await gone;
    },
  };
}

async function run(
  side: PythonSide,
  args: readonly string[],
  input?: string,
  mayFail = false,
  timeoutMs = 60_000,
): Promise<{ stdout: string; code: number | null }> {
  const child = spawn(PYTHON, args, {
    cwd: FOLDER,
    env: environment(side),
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: timeoutMs,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0 && !mayFail) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
  return { stdout, code };
}
