import { appendFileSync } from 'node:fs';
import { CommandError, EXIT } from '../exit.ts';
import type { Output } from '../io.ts';
import type { Session } from '../session.ts';

/**
 * Where a daemon's log goes: stderr, or its file.
 * @throws {CommandError} when nothing can be written there
 */
export function logOutput(session: Session, logfile: string | undefined): Output {
  const { stderr } = session.io;
  if (logfile === undefined) return stderr;
  const file = session.path(logfile);
  try {
    appendFileSync(file, '');
  } catch (cause) {
    throw new CommandError(`--logfile: ${(cause as Error).message}`, { exitCode: EXIT.usage, cause });
  }
  return { write: (text) => append(file, text, stderr), isTTY: false };
}

/** Opens the file for every write, so that it can be rotated by moving it away. A full disk must not end the daemon. */
function append(file: string, text: string, otherwise: Output): void {
  try {
    appendFileSync(file, text);
  } catch {
    otherwise.write(text);
  }
}
