import type { Command } from 'commander';
import { checkWords, commandList, unknownCommand } from './inspect.ts';
import { typedCommand } from './custom-words.ts';
import { CommandError, EXIT } from './exit.ts';
import { addReplyOptions, nobodyAnswered, nodesOnline, printReply, type ReplyOptions } from './replies.ts';
import type { Session } from './session.ts';

type Arguments = Readonly<Record<string, unknown>>;

interface ControlCommand {
  readonly help: string;
  readonly usage: string;
  readonly needs: number;
  readonly most: number;
  /** Turns the words after the command into its arguments on the wire. */
  readonly read: (words: readonly string[]) => Arguments;
}

function number(text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) {
    throw new CommandError(`expected a number, got "${text}"`, { exitCode: EXIT.usage });
  }
  return value;
}

const none: Pick<ControlCommand, 'usage' | 'needs' | 'most' | 'read'> = {
  usage: '',
  needs: 0,
  most: 0,
  read: () => ({}),
};
const size: Pick<ControlCommand, 'usage' | 'needs' | 'most' | 'read'> = {
  usage: '[n]',
  needs: 0,
  most: 1,
  read: ([n]) => ({ n: number(n) ?? 1 }),
};

/** Every control command of Celery that can be typed. */
const COMMANDS: Readonly<Record<string, ControlCommand>> = {
  add_consumer: {
    help: 'consume from one more queue',
    usage: '<queue> [exchange [type [routing_key]]]',
    needs: 1,
    most: 4,
    read: ([queue, exchange, type, key]) => ({
      queue,
      exchange: exchange ?? null,
      exchange_type: type ?? null,
      routing_key: key ?? null,
    }),
  },
  autoscale: {
    help: 'change the limits of a pool that scales',
    usage: '<max> [min]',
    needs: 1,
    most: 2,
    read: ([max, min]) => ({ max: number(max), min: number(min) }),
  },
  cancel_consumer: {
    help: 'stop consuming from a queue',
    usage: '<queue>',
    needs: 1,
    most: 1,
    read: ([queue]) => ({ queue }),
  },
  disable_events: { help: 'stop reporting what tasks do', ...none },
  election: {
    help: 'let the workers choose one of them',
    usage: '<id> <topic>',
    needs: 2,
    most: 2,
    read: ([id, topic]) => ({ id, topic, action: null }),
  },
  enable_events: { help: 'report what tasks do', ...none },
  heartbeat: { help: 'send a heartbeat event now', ...none },
  pool_grow: { help: 'more tasks at a time', ...size },
  pool_restart: {
    help: 'start the pool anew',
    ...none,
    read: () => ({ modules: null, reload: false, reloader: null }),
  },
  pool_shrink: { help: 'fewer tasks at a time', ...size },
  rate_limit: {
    help: 'limit how often a task starts: 10/s, 100/m, 0 for no limit',
    usage: '<task> <rate>',
    needs: 2,
    most: 2,
    read: ([task_name, rate]) => ({ task_name, rate_limit: rate === '0' ? 0 : rate }),
  },
  revoke: {
    help: 'skip these tasks when their turn comes',
    usage: '<id…>',
    needs: 1,
    most: Infinity,
    read: (ids) => ({ task_id: ids }),
  },
  revoke_by_stamped_headers: {
    help: 'skip tasks with these stamps',
    usage: '<key=value…>',
    needs: 1,
    most: Infinity,
    read: (headers) => ({ headers }),
  },
  shutdown: { help: 'finish what runs, then stop', ...none },
  terminate: {
    help: 'end tasks that run',
    usage: '<signal> <id…>',
    needs: 2,
    most: Infinity,
    read: ([signal, ...ids]) => ({ signal, task_id: ids }),
  },
  time_limit: {
    help: 'limit how long a task runs, in seconds',
    usage: '<task> <soft> [hard]',
    needs: 2,
    most: 3,
    read: ([task_name, soft, hard]) => ({ task_name, soft: number(soft), hard: number(hard) }),
  },
};

/** For completion. */
export const CONTROL_COMMANDS: readonly string[] = Object.keys(COMMANDS);

/** `celeriac control COMMAND`: steers workers. */
export function addControl(program: Command, session: Session): void {
  const command = program
    .command('control')
    .description('steer workers')
    .argument('[command]')
    .argument('[arguments...]');
  addReplyOptions(command)
    .option('--list', 'list the commands')
    .addHelpText('after', `\nCommands:\n${commandList(COMMANDS)}`)
    .action(async (typed: string | undefined, words: string[], options: ReplyOptions & { list?: boolean }) => {
      if (options.list) return session.print(commandList(COMMANDS));
      const name = typed?.replaceAll('-', '_');
      if (name === undefined) {
        throw new CommandError('control what?', {
          exitCode: EXIT.usage,
          hint: 'celeriac control --list shows what there is',
        });
      }
      const app = await session.app();
      const own = app.commands.get(name);
      const known = COMMANDS[name] ?? (own?.kind === 'control' ? typedCommand(own) : undefined);
      if (known === undefined) {
        const all = [...Object.keys(COMMANDS), ...app.commands.ofKind('control').map((one) => one.name)];
        throw unknownCommand('control', name, all);
      }
      checkWords(name, words, known);
      const replies = await app.control.broadcast(name, known.read(words), {
        reply: true,
        timeout: options.timeout * 1000,
        destination: options.destination,
        onReply: (node, value) => {
          if (!options.json) printReply(session, node, value);
        },
      });
      if (replies.length === 0) {
        // A worker that shuts down does not answer; Celery's exit code for that is 69 all the same.
        if (name === 'shutdown') session.note('shutdown was sent; workers do not answer it');
        throw nobodyAnswered();
      }
      if (options.json) session.json(replies.map(({ node, value }) => ({ [node]: value })));
      else if (!session.options.quiet) session.print(nodesOnline(replies.length));
    });
}
