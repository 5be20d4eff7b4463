import type { Logger } from './logger.ts';

/** Where operating system signals come from: `process`, or a fake in tests. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
}

export type StopHow = 'warm' | 'soft' | 'cold' | 'now';

export interface StopSignalOptions {
  readonly source: SignalSource;
  /** `REMAP_SIGTERM=SIGQUIT` makes SIGTERM a cold stop, for platforms that send nothing else. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A cold stop is preceded by a soft one: what runs has a while to finish. @default false */
  readonly soft?: boolean | undefined;
  /** `warm`: finish what runs. `soft`: finish what is quick. `cold`: give it back and stop. `now`: leave at once. */
  readonly stop: (how: StopHow, signal: NodeJS.Signals) => void;
}

/** Signals that end a worker. */
const STOP_SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGQUIT'];

/** What the next signal asks for, given what was asked for before. */
function nextStop(
  signal: NodeJS.Signals,
  asked: StopHow | undefined,
  { remapped, quit }: { readonly remapped: boolean; readonly quit: 'soft' | 'cold' },
): StopHow | undefined {
  if (asked === 'cold' || asked === 'now') return 'now';
  const quits = signal === 'SIGQUIT' || (signal === 'SIGTERM' && remapped);
  if (asked === 'soft') return quits || signal === 'SIGINT' ? 'cold' : undefined;
  if (quits) return quit;
  if (signal === 'SIGINT') return asked === 'warm' ? quit : 'warm';
  // A second SIGTERM repeats what is under way: supervisors send it again and again.
  return asked === 'warm' ? undefined : 'warm';
}

/**
 * SIGTERM: warm. SIGINT: warm, the second time cold. SIGQUIT: cold. Any further one after cold: now.
 * Where there is a soft stop, it comes before the cold one.
 * @returns a function that stops listening; harmless twice
 *
 * Source: `celery.apps.worker.install_worker_*_handler`.
 */
export function onStopSignals({ source, env, soft, stop }: StopSignalOptions): () => void {
  const rules = { remapped: env['REMAP_SIGTERM'] === 'SIGQUIT', quit: soft === true ? 'soft' : 'cold' } as const;
  let asked: StopHow | undefined;
  const listener = (signal: NodeJS.Signals): void => {
    const how = nextStop(signal, asked, rules);
    if (how === undefined) return;
    asked = how;
    stop(how, signal);
  };
  for (const signal of STOP_SIGNALS) source.on(signal, listener);
  return () => {
    for (const signal of STOP_SIGNALS) source.off(signal, listener);
  };
}

export interface DebugSignalOptions {
  readonly source: SignalSource;
  /** `CELERY_RDBSIG=1`: SIGUSR2 opens a debugger. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** SIGUSR1: say what the process does. */
  readonly dump: () => void;
  /** SIGUSR2: let a debugger in. */
  readonly debug: () => void;
}

/**
 * Takes SIGUSR1 from Node, which would open its inspector.
 * @returns a function that stops listening; harmless twice
 *
 * Source: `install_cry_handler` and `install_rdb_handler` of celery.apps.worker.
 */
export function onDebugSignals({ source, env, dump, debug }: DebugSignalOptions): () => void {
  const debugs = Boolean(env['CELERY_RDBSIG']);
  source.on('SIGUSR1', dump);
  if (debugs) source.on('SIGUSR2', debug);
  return () => {
    source.off('SIGUSR1', dump);
    if (debugs) source.off('SIGUSR2', debug);
  };
}

/** Unlike a crash these must be seen: a promise nobody caught, an error nobody caught. Ends with exit code 1. */
export interface CrashSource {
  on(event: 'uncaughtException', listener: (error: unknown) => void): unknown;
  off(event: 'uncaughtException', listener: (error: unknown) => void): unknown;
}

/**
 * Logs an error that nothing caught before the process ends by it: the broker hands the worker's tasks to another.
 * @returns a function that stops listening; harmless twice
 */
export function onCrash(source: CrashSource, log: Logger, end: () => void): () => void {
  const listener = (error: unknown): void => {
    log.fatal({ error }, 'nothing caught this error: the worker ends, its tasks go back to the broker');
    end();
  };
  source.on('uncaughtException', listener);
  return () => source.off('uncaughtException', listener);
}
