import { Option, type Command } from 'commander';
import type { CallOptions } from '../canvas/call-options.ts';
import { CommandError, EXIT } from './exit.ts';
import { seconds } from './options.ts';
import type { Session } from './session.ts';

interface CallFlags {
  readonly args: string;
  readonly kwargs: string;
  readonly eta?: string;
  readonly countdown?: number;
  readonly expires?: string;
  readonly serializer?: string;
  readonly queue?: string;
  readonly exchange?: string;
  readonly routingKey?: string;
  readonly json?: boolean;
}

function parse(text: string, flag: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CommandError(`${flag}: not JSON: ${(cause as Error).message}`, {
      exitCode: EXIT.usage,
      hint: `For example: ${flag} '${flag === '--args' ? '[2, "two"]' : '{"name": "value"}'}'  (mind the quotes of your shell)`,
      cause,
    });
  }
}

function readArgs(text: string): readonly unknown[] {
  const args = parse(text, '--args');
  if (Array.isArray(args)) return args;
  throw new CommandError(`--args: expected a JSON list, got ${text}`, {
    exitCode: EXIT.usage,
    hint: `Try: -a '[${text}]'`,
  });
}

function readKwargs(text: string): Readonly<Record<string, unknown>> {
  const kwargs = parse(text, '--kwargs');
  if (typeof kwargs === 'object' && kwargs !== null && !Array.isArray(kwargs)) return kwargs as Record<string, unknown>;
  throw new CommandError(`--kwargs: expected a JSON object, got ${text}`, { exitCode: EXIT.usage });
}

function moment(text: string, flag: string): Date {
  // Without a zone it is UTC, as everywhere in Celery.
  const at = new Date(/(?:z|[+-]\d\d:?\d\d)$/i.test(text) || !text.includes('T') ? text : `${text}Z`);
  if (!Number.isNaN(at.getTime())) return at;
  throw new CommandError(`${flag}: expected ISO 8601 such as 2026-12-24T18:00:00Z, got "${text}"`, {
    exitCode: EXIT.usage,
  });
}

function callOptions(flags: CallFlags): CallOptions {
  const { countdown, eta, expires, serializer, queue, exchange, routingKey } = flags;
  const inSeconds = expires === undefined || expires.trim() === '' ? NaN : Number(expires);
  return {
    kwargs: readKwargs(flags.kwargs),
    ...(countdown !== undefined && { countdown: countdown * 1000 }),
    ...(eta !== undefined && { eta: moment(eta, '--eta') }),
    ...(expires !== undefined && {
      expires: Number.isFinite(inSeconds) ? inSeconds * 1000 : moment(expires, '--expires'),
    }),
    ...(serializer !== undefined && { serializer }),
    ...(queue !== undefined && { queue }),
    ...(exchange !== undefined && { exchange }),
    ...(routingKey !== undefined && { routingKey }),
  };
}

/** `celeriac call NAME`: sends a task and prints its id. */
export function addCall(program: Command, session: Session): void {
  program
    .command('call')
    .description('send a task by its name, print its id')
    .argument('<task>', 'name of the task; the app need not have it')
    .option('-a, --args <json>', 'positional arguments', '[]')
    .option('-k, --kwargs <json>', 'keyword arguments', '{}')
    .option('--eta <time>', 'run no sooner than this (ISO 8601)')
    .addOption(new Option('--countdown <seconds>', 'run no sooner than this long from now').argParser(seconds))
    .option('--expires <time>', 'not worth running afterwards (ISO 8601, or seconds from now)')
    .option('--serializer <name>', 'how arguments travel')
    .option('--queue <name>', 'send it here')
    .option('--exchange <name>', 'send it to this exchange, with --routing-key')
    .option('--routing-key <key>', 'what the exchange chooses queues by')
    .option('-j, --json', 'print {"id": …}')
    .action(async (task: string, flags: CallFlags) => {
      const args = readArgs(flags.args);
      const options = callOptions(flags);
      const app = await session.app();
      const { id } = await app.send(task, args, options);
      if (flags.json) session.json({ id, task });
      else session.print(id);
    });
}
