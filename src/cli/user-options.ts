import { InvalidArgumentError, Option, type Command } from 'commander';
import { applyEnvironment } from './environment.ts';
import type { GlobalOptions, Session } from './session.ts';

/** Commands that an app may add options to: it has to be loaded before they are read. */
const EXTENDED = ['worker'] as const;

/**
 * Adds what `app.userOptions` says to the command that is about to be read. The app is loaded this early only where
 * an option is typed that the command does not have, or its help is asked for.
 */
export async function addUserOptions(
  command: Command,
  program: Command,
  session: Session,
  argv: readonly string[],
): Promise<void> {
  const name = EXTENDED.find((one) => one === command.name());
  if (name === undefined || !argv.some((word) => isForeign(word, [command, program]))) return;
  applyEnvironment(program, session.io.env);
  const options = program.opts<GlobalOptions>();
  if (options.app === undefined) return;
  session.configure(options);
  // An app that cannot be loaded is said by the command; its help is shown all the same.
  const app = await session.app('tasks').catch(() => undefined);
  for (const { flags, help, default: otherwise, parse } of app?.userOptions?.[name].all ?? []) {
    const option = new Option(flags, help);
    if (otherwise !== undefined) option.default(otherwise);
    if (parse) option.argParser((text) => reading(parse, text));
    command.addOption(option);
  }
}

function isForeign(word: string, commands: readonly Command[]): boolean {
  const flag = /^--?[a-z][^=]*/i.exec(word)?.[0];
  if (flag === undefined || flag === '--help' || flag === '-h') return flag !== undefined;
  return !commands.some(({ options }) => options.some(({ short, long }) => flag === long || flag === short));
}

function reading(parse: (text: string) => unknown, text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
