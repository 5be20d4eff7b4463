import type { Command } from 'commander';
import { nearest } from '../runtime/nearest.ts';
import type { Celery } from '../app/celery.ts';
import { typedCommand } from './custom-words.ts';
import { CommandError, EXIT } from './exit.ts';
import { addReplyOptions, nobodyAnswered, nodesOnline, printReply, type ReplyOptions } from './replies.ts';
import type { Session } from './session.ts';

type Arguments = Readonly<Record<string, unknown>>;

interface InspectCommand {
  readonly help: string;
  /** How the words after the command are named in the help. */
  readonly usage?: string;
  /** Turns the words after the command into its arguments on the wire. */
  readonly read?: (words: readonly string[]) => Arguments;
  /** Most words it takes. @default 0 */
  readonly words?: number;
  /** Least words it takes. @default 0 */
  readonly needs?: number;
}

function truthy(text: string): boolean {
  return ['1', 'true', 'yes', 'on'].includes(text.toLowerCase());
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new CommandError(`expected a whole number, got "${text}"`, { exitCode: EXIT.usage });
  }
  return value;
}

/** Every inspect command of Celery. */
const COMMANDS: Readonly<Record<string, InspectCommand>> = {
  active: { help: 'tasks that run right now', read: () => ({ safe: null }) },
  active_queues: { help: 'queues it consumes from' },
  clock: { help: 'its logical clock' },
  conf: {
    help: 'its settings, secrets masked',
    usage: '[with_defaults]',
    words: 1,
    read: ([all]) => ({ with_defaults: all !== undefined && truthy(all) }),
  },
  memdump: {
    help: 'statistics of samples',
    usage: '[samples]',
    words: 1,
    read: ([n]) => ({ samples: whole(n ?? '10') }),
  },
  memsample: { help: 'memory in use' },
  objgraph: {
    help: 'graph of objects; here a heap snapshot',
    usage: '[type] [count] [depth]',
    words: 3,
    read: ([type, num, depth]) => ({
      num: whole(num ?? '200'),
      max_depth: whole(depth ?? '10'),
      type: type ?? 'Request',
    }),
  },
  ping: { help: 'whether it answers' },
  query_task: {
    help: 'where these tasks are',
    usage: '<id…>',
    words: Infinity,
    needs: 1,
    read: (ids) => ({ ids }),
  },
  registered: {
    help: 'tasks it can run',
    usage: '[attribute…]',
    words: Infinity,
    read: (taskinfoitems) => ({ taskinfoitems }),
  },
  report: { help: 'versions and settings, for bug reports' },
  reserved: { help: 'tasks it holds and has not started' },
  revoked: { help: 'ids of revoked tasks' },
  scheduled: { help: 'tasks that wait for their time' },
  stats: { help: 'counters, pool, broker, memory' },
};

/** For completion. */
export const INSPECT_COMMANDS: readonly string[] = Object.keys(COMMANDS);

/** Differs from the others: they may take long. */
const SLOW: Readonly<Record<string, number>> = { objgraph: 60, memdump: 10 };

export function commandList(
  commands: Readonly<Record<string, { readonly help: string; readonly usage?: string }>>,
): string {
  const lines = Object.entries(commands).map(([name, { help, usage }]) => {
    const call = usage === undefined ? name : `${name} ${usage}`;
    return `  ${call.padEnd(44)} ${help}`;
  });
  return lines.join('\n');
}

export function unknownCommand(kind: string, name: string, known: readonly string[]): CommandError {
  const similar = nearest(name, known);
  return new CommandError(`no ${kind} command "${name}"`, {
    exitCode: EXIT.usage,
    hint: similar === undefined ? `There are: ${known.join(', ')}` : `Did you mean ${similar}?`,
  });
}

/** Number of words that a command takes. */
export function checkWords(
  name: string,
  words: readonly string[],
  { usage = '', needs = 0, most = 0 }: { readonly usage?: string; readonly needs?: number; readonly most?: number },
): void {
  if (words.length >= needs && words.length <= most) return;
  throw new CommandError(
    words.length < needs ? `${name}: too few arguments` : `${name}: unexpected argument "${words[most] ?? ''}"`,
    { exitCode: EXIT.usage, hint: `Usage: ${name} ${usage}`.trimEnd() },
  );
}

function inspectArguments(app: Celery, name: string, words: readonly string[]): Arguments {
  const known = COMMANDS[name];
  if (known !== undefined) {
    const { usage = '', needs = 0, words: most = 0 } = known;
    checkWords(name, words, { usage, needs, most });
    return known.read?.(words) ?? {};
  }
  const own = app.commands.get(name);
  if (own?.kind !== 'inspect') {
    const all = [...Object.keys(COMMANDS), ...app.commands.ofKind('inspect').map((one) => one.name)];
    throw unknownCommand('inspect', name, all);
  }
  const typed = typedCommand(own);
  checkWords(name, words, typed);
  return typed.read(words);
}

/** `celeriac inspect COMMAND`: asks workers about themselves. */
export function addInspect(program: Command, session: Session): void {
  const command = program
    .command('inspect')
    .description('ask workers about themselves')
    .argument('[command]')
    .argument('[arguments...]');
  addReplyOptions(command)
    .option('--list', 'list the commands')
    .addHelpText('after', `\nCommands:\n${commandList(COMMANDS)}`)
    .action(async (typed: string | undefined, words: string[], options: ReplyOptions & { list?: boolean }) => {
      if (options.list) return session.print(commandList(COMMANDS));
      const name = typed?.replaceAll('-', '_');
      if (name === undefined) {
        throw new CommandError('inspect what?', {
          exitCode: EXIT.usage,
          hint: 'celeriac inspect --list shows what there is',
        });
      }
      const app = await session.app();
      const args = inspectArguments(app, name, words);
      const typedTimeout = command.getOptionValueSource('timeout') !== 'default';
      const timeout = (typedTimeout ? options.timeout : (SLOW[name] ?? options.timeout)) * 1000;
      const inspect = app.control.inspect({
        timeout,
        destination: options.destination,
        onReply: (node, value) => {
          if (!options.json) printReply(session, node, value);
        },
      });
      const answers = await inspect.ask(name, args);
      const nodes = Object.keys(answers);
      if (nodes.length === 0) throw nobodyAnswered();
      if (options.json) session.json(answers);
      else if (!session.options.quiet) session.print(nodesOnline(nodes.length));
    });
}
