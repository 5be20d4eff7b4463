import type { ChildProcess } from 'node:child_process';
import Libsql from 'libsql';
import type { Random } from '../../src/runtime/random.ts';

/**
 * Stops a process (SIGSTOP), but not in the middle of a write to one of the SQLite files: its lock on the file would stay, and
 * nothing but the process itself can take that back.
 */
export async function freeze(child: ChildProcess, files: readonly string[], random: Random): Promise<void> {
  for (;;) {
    child.kill('SIGSTOP');
    if (files.every(isWritable)) return;
    child.kill('SIGCONT');
    const moment = random.next() * 60;
    await new Promise((resolve) => setTimeout(resolve, moment));
  }
}

function isWritable(file: string): boolean {
  const database = new Libsql(file, { timeout: 3000 } as object);
  try {
    database.exec('BEGIN IMMEDIATE; ROLLBACK');
    return true;
  } catch {
    return false;
  } finally {
    database.close();
  }
}
