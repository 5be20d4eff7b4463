import { open, type FileHandle } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { Audit } from './log-audit.ts';
import { CommandError, EXIT } from './exit.ts';
import type { Session } from './session.ts';

const KINDS = {
  stats: 'how many tasks, of which kinds, how they ended',
  traces: 'tracebacks, with the line they belong to',
  errors: 'lines of tasks that failed',
  incomplete: 'tasks that were received and did not end',
  debug: 'lines that are not about a task being received or ending',
} as const;

/** `celeriac logtool KIND FILE…`: reads logs of our workers (text or JSON) and of Python's. */
export function addLogtool(program: Command, session: Session): void {
  const logtool = program.command('logtool').description('read worker logs, ours (text or JSON) and Python Celery’s');
  for (const [kind, help] of Object.entries(KINDS)) {
    logtool
      .command(kind)
      .description(help)
      .argument('[files...]', 'log files; - or none is stdin')
      .option('-j, --json', 'JSON')
      .action(async (files: readonly string[], flags: { readonly json?: boolean }) => {
        const print = (line: string): void => (flags.json ? session.json({ line }) : session.print(line));
        const audit = new Audit({
          ...(kind === 'traces' && { onTrace: print }),
          ...(kind === 'errors' && { onError: print }),
          ...(kind === 'debug' && { onDebug: print }),
        });
        for (const file of files.length === 0 ? ['-'] : files) await feed(session, file, audit);
        audit.end();
        if (kind === 'stats') stats(session, audit, flags.json ?? false);
        if (kind === 'incomplete') {
          for (const [id, task] of audit.incomplete()) {
            if (flags.json) session.json({ id, task });
            else session.print(`Did not complete: ${id} (${task})`);
          }
        }
      });
  }
}

async function feed(session: Session, file: string, audit: Audit): Promise<void> {
  const input = file === '-' ? session.io.stdin : (await opened(session.path(file))).createReadStream();
  for await (const line of createInterface({ input, crlfDelay: Infinity })) audit.feed(line);
}

async function opened(file: string): Promise<FileHandle> {
  try {
    return await open(file);
  } catch (cause) {
    throw new CommandError((cause as Error).message, { exitCode: EXIT.usage, cause });
  }
}

function stats(session: Session, audit: Audit, json: boolean): void {
  const report = audit.report();
  if (json) return session.json(report);
  session.print(
    `\nReport\n======\n\nTask total: ${report.total}\nTask errors: ${report.errors}\nTask success: ${report.succeeded}\n` +
      `Task completed: ${report.completed}\n\nTasks\n=====`,
  );
  for (const [name, count] of Object.entries(report.types)) session.print(`${name}: ${count}`);
}
