import { createInterface } from 'node:readline/promises';
import { Option, type Command } from 'commander';
import type { DeadLetter, DeadLetterChoice, DeadLetterDetails } from '../app/dead-letters.ts';
import { onStopSignals } from '../runtime/signals.ts';
import { CommandError, EXIT } from './exit.ts';
import { moreNames, positiveNumber } from './options.ts';
import type { Session } from './session.ts';

interface Flags {
  readonly queues?: readonly string[];
  readonly json?: boolean;
}

interface ChoiceFlags extends Flags {
  readonly all?: boolean;
  readonly task?: string;
  readonly limit?: number;
  readonly to?: string;
  readonly force?: boolean;
}

/** `celeriac dlq …`: messages that killed their workers too often. */
export function addDlq(program: Command, session: Session): void {
  const dlq = program
    .command('dlq')
    .description('messages that killed their workers too often: list, show, retry, drop')
    .addHelpText(
      'after',
      '\nThey wait in QUEUE.dlq, beside the queue they came from. Exit code 1: one that was named is not there.\n',
    );
  const queues = (): Option =>
    new Option('-Q, --queues <names>', 'of these queues, or in these queues if a name ends in .dlq').argParser(
      moreNames,
    );

  dlq
    .command('list')
    .description('what is there; it stays there')
    .addOption(queues())
    .addOption(new Option('-n, --limit <n>', 'no more than this many').argParser(positiveNumber).default(1_000))
    .option('-j, --json', 'print {"total": …, "letters": […]}')
    .action(async ({ queues, limit, json }: Flags & { readonly limit: number }) => {
      const { deadLetters } = await session.app();
      const { letters, total } = await deadLetters.list({ queues, limit });
      if (json) return session.json({ total, letters });
      if (total === 0) return session.print('No dead letters.');
      for (const letter of letters) session.print(line(letter));
      if (total > letters.length) session.note(`${total - letters.length} more: --limit ${total}`);
    });

  dlq
    .command('show')
    .description('everything about one')
    .argument('<id>', 'task id')
    .addOption(queues())
    .option('-j, --json', 'print it as JSON')
    .action(async (id: string, { queues, json }: Flags) => {
      const { deadLetters } = await session.app();
      const letter = await deadLetters.find(id, { queues });
      if (letter === undefined) throw new CommandError(`no dead letter has the id ${id}`);
      if (json) return session.json(letter);
      for (const text of paragraphs(letter)) session.print(text);
    });

  chooser('retry', 'put them back into the queues they came from, to run again')
    .option('--to <queue>', 'into this queue instead')
    .action((ids: string[], flags: ChoiceFlags) => settle(session, 'retry', ids, flags));

  chooser('drop', 'take them away for good')
    .option('-f, --force', 'do not ask')
    .action(async (ids: string[], flags: ChoiceFlags) => {
      if (flags.all && !flags.force) await confirm(session);
      await settle(session, 'drop', ids, flags);
    });

  function chooser(name: string, description: string): Command {
    return dlq
      .command(name)
      .description(description)
      .argument('[ids...]', 'task ids')
      .option('-a, --all', 'all of them')
      .option('-T, --task <name>', 'only calls of this task; with --all')
      .addOption(new Option('-n, --limit <n>', 'no more than this many').argParser(positiveNumber))
      .addOption(queues())
      .option('-j, --json', 'print {"done": …, "missing": […]}, and no progress');
  }
}

async function settle(session: Session, what: 'retry' | 'drop', ids: string[], flags: ChoiceFlags): Promise<void> {
  if ((ids.length === 0) === !flags.all) {
    throw new CommandError(ids.length === 0 ? 'no dead letter was named' : 'ids and --all contradict each other', {
      exitCode: EXIT.usage,
      hint: `Name task ids, or say that you mean all: celeriac dlq ${what} --all`,
    });
  }
  const { deadLetters } = await session.app();
  const stop = new AbortController();
  const { io } = session;
  const undo = onStopSignals({ source: io.signals, env: io.env, stop: () => stop.abort() });
  const missing = new Set(ids);
  let count = 0;
  const choice: DeadLetterChoice = {
    queues: flags.queues,
    task: flags.task,
    limit: flags.limit,
    signal: stop.signal,
    ...(ids.length > 0 && { ids }),
    onProgress: (letter) => {
      missing.delete(letter.id);
      count++;
      if (!flags.json) session.note(`${count} ${what === 'retry' ? 'sent again' : 'dropped'}: ${line(letter)}`);
    },
  };
  try {
    const done = await (what === 'retry' ? deadLetters.retry({ ...choice, to: flags.to }) : deadLetters.drop(choice));
    if (flags.json) session.json({ done, missing: [...missing] });
    else session.print(`${what === 'retry' ? 'Sent again' : 'Dropped'}: ${done}.`);
    if (stop.signal.aborted || missing.size > 0) session.exitCode = EXIT.failure;
    if (missing.size > 0 && !flags.json) session.note(`Not there: ${[...missing].join(', ')}`);
  } finally {
    undo();
  }
}

function line({ id, task, queue, reason, diedAt, args, kwargs }: DeadLetter): string {
  const when = diedAt === null ? '' : ` ${diedAt.toISOString()}`;
  return `${task || '?'}[${id}] from ${queue}${when} args=${args || '?'} kwargs=${kwargs || '?'}: ${reason}`;
}

function paragraphs(letter: DeadLetterDetails): string[] {
  const { headers, body, ...rest } = letter;
  const rows = Object.entries({ ...rest, diedAt: letter.diedAt?.toISOString() ?? 'unknown' });
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    ...rows.map(([name, value]) => `${name.padEnd(width)}  ${String(value)}`),
    `headers  ${JSON.stringify(headers, null, 2)}`,
    body === null ? 'The body cannot be read.' : `body  ${JSON.stringify(body, null, 2)}`,
  ];
}

async function confirm(session: Session): Promise<void> {
  const { stdin, stderr } = session.io;
  if (!stdin.isTTY) {
    throw new CommandError('dropping all dead letters asks first, and nobody is here to answer', {
      exitCode: EXIT.usage,
      hint: 'Run it in a terminal, or say that you mean it: --force',
    });
  }
  const lines = createInterface({ input: stdin, terminal: false });
  try {
    stderr.write('This drops messages for good. Are you sure? [y/N] ');
    if (!/^y(es)?$/i.test((await lines.question('')).trim())) throw new CommandError('nothing was dropped');
  } finally {
    lines.close();
  }
}
