import { closeSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { CommandError } from './exit.ts';

/** `EX_CANTCREAT`, as in Celery. */
const TAKEN = 73;

/** The process that a pidfile names; undefined without one, or when it holds no number. */
export function readPid(file: string): number | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    return /^[1-9]\d*\n?$/.test(text) ? Number(text) : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whether a process has this id; one of another user counts. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** @throws {CommandError} with exit code 73 when a living process holds the file */
export function checkPidfile(file: string): void {
  const pid = readPid(file);
  if (pid === undefined || pid === process.pid || !isAlive(pid)) return;
  throw new CommandError(`the pidfile ${file} exists: process ${pid} is running`, {
    exitCode: TAKEN,
    hint: `Stop it first, or name another file. If ${pid} is something else, remove the file`,
  });
}

/**
 * Writes this process's id, in place of what a dead process left.
 * @returns removes the file again, if it is still this process's
 * @throws {CommandError} with exit code 73 when a living process holds the file
 */
export function takePidfile(file: string): () => void {
  for (let tried = 0; ; tried++) {
    try {
      // Exclusive: of two that start at once, one gets it.
      const handle = openSync(file, 'wx', 0o644);
      writeSync(handle, `${process.pid}\n`);
      closeSync(handle);
      break;
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code !== 'EEXIST') throw new CommandError(`--pidfile: ${message}`, { exitCode: TAKEN, cause });
      checkPidfile(file);
      if (tried > 2) throw new CommandError(`the pidfile ${file} is contended`, { exitCode: TAKEN, cause });
      unlinkSync(file);
    }
  }
  return () => {
    if (readPid(file) === process.pid) unlinkSync(file);
  };
}
