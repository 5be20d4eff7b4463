import { createInterface } from 'node:readline/promises';
import { Option, type Command } from 'commander';
import { CommandError, EXIT } from './exit.ts';
import { moreNames } from './options.ts';
import type { Session } from './session.ts';

interface PurgeFlags {
  readonly force?: boolean;
  readonly queues?: readonly string[];
  readonly excludeQueues?: readonly string[];
  readonly json?: boolean;
}

/** `celeriac purge`: drops every task that waits. */
export function addPurge(program: Command, session: Session): void {
  program
    .command('purge')
    .description('drop every task that waits in the queues; there is no undo')
    .option('-f, --force', 'do not ask')
    .addOption(new Option('-Q, --queues <names>', 'only these queues: a,b').argParser(moreNames))
    .addOption(new Option('-X, --exclude-queues <names>', 'all but these').argParser(moreNames))
    .option('-j, --json', 'print {"purged": …, "queues": […]}')
    .action(async (flags: PurgeFlags) => {
      const app = await session.app();
      const excluded = new Set(flags.excludeQueues);
      const known = flags.queues ?? app.queues.consumed.map(({ name }) => name);
      const queues = known.filter((name) => !excluded.has(name));
      if (queues.length === 0) {
        throw new CommandError('no queue is left to purge', {
          exitCode: EXIT.usage,
          hint: 'Name some: -Q celery,emails',
        });
      }
      if (!flags.force) await confirm(session, queues);
      const purged = await app.control.purge({ queues });
      if (flags.json) return session.json({ purged, queues });
      const where = `${queues.length} known task ${queues.length === 1 ? 'queue' : 'queues'}`;
      session.print(
        purged === 0
          ? `No messages purged from ${queues.length} ${queues.length === 1 ? 'queue' : 'queues'}`
          : `Purged ${purged} ${purged === 1 ? 'message' : 'messages'} from ${where}.`,
      );
    });
}

async function confirm(session: Session, queues: readonly string[]): Promise<void> {
  const { stdin, stderr } = session.io;
  if (!stdin.isTTY) {
    throw new CommandError('purge asks before it drops tasks, and nobody is here to answer', {
      exitCode: EXIT.usage,
      hint: 'Run it in a terminal, or say that you mean it: --force',
    });
  }
  stderr.write(
    `${session.paint.warning('WARNING')}: this removes all tasks from: ${[...queues].sort().join(', ')}.\n` +
      'There is no undo. (-f skips this question.)\n',
  );
  const lines = createInterface({ input: stdin, terminal: false });
  try {
    stderr.write('Are you sure? [y/N] ');
    const answer = await lines.question('');
    if (!/^y(es)?$/i.test(answer.trim())) throw new CommandError('nothing was purged');
  } finally {
    lines.close();
  }
}
