import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';

/*
 * Node cannot replace a process by another program as Celery's SIGHUP does. The process stays instead, so that whoever
 * looks after it finds the same id and pidfile, and stands for another one with the same arguments: signals are passed
 * on, and so is the exit code. However often the worker begins anew, there are no more than these two.
 */

/** Set in the process that another one stands for. */
const STOOD_FOR = 'CELERIAC_STOOD_FOR';
/** How it says that it wants to begin anew. */
const AGAIN = 85;
const PASSED_ON: readonly NodeJS.Signals[] = [
  'SIGTERM',
  'SIGINT',
  'SIGQUIT',
  'SIGHUP',
  'SIGUSR1',
  'SIGUSR2',
  'SIGCONT',
];

/** Whether another process has the pidfile, the user and the signals of this one. */
export function isStoodFor(env: Readonly<Record<string, string | undefined>>): boolean {
  return env[STOOD_FOR] === '1';
}

/** This program once more, in a process of its own. @returns its exit code, once it is over */
export async function respawn(): Promise<number> {
  if (isStoodFor(process.env)) return AGAIN;
  for (;;) {
    const code = await standFor();
    if (code !== AGAIN) return code;
  }
}

async function standFor(): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    env: { ...process.env, [STOOD_FOR]: '1' },
    // The channel is how it learns that this process was killed.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  const passOn = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of PASSED_ON) process.on(signal, passOn);
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
  } finally {
    for (const signal of PASSED_ON) process.off(signal, passOn);
  }
}

/** A process that was stood for, and is no longer, stops as it would for SIGTERM. */
export function followStandIn(): void {
  if (isStoodFor(process.env)) process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
}
