import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Celery } from '../app/celery.ts';
import type { UserOption, UserOptions } from '../app/user-options.ts';
import { applyEnvironment, valueFromEnvironment } from './environment.ts';
import type { GlobalOptions, Session } from './session.ts';

/** Commands with options of an app's own, besides those that it gives to all. */
const EXTENDED = ['worker', 'beat', 'events'] as const;
type Extended = (typeof EXTENDED)[number];

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
  const commands = [...family(command)];
  if (!argv.some((word) => isForeign(word, [...commands, program]))) return;
  applyEnvironment(program, session.io.env);
  const options = program.opts<GlobalOptions>();
  if (options.app === undefined) return;
  session.configure(options);
  // An app that cannot be loaded is said by the command; its help is shown all the same.
  const app = await session.app('tasks').catch(() => undefined);
  if (app === undefined) return;
  for (const one of commands.filter(({ commands: below }) => below.length === 0)) {
    for (const option of userOptions(app, command.name())) one.addOption(parsing(option));
  }
}

/**
 * The options of a command with those of the app, also where the app was not loaded before they were read: then from
 * the environment, or what they are by default.
 */
export function withUserOptions(
  app: Celery,
  command: Extended,
  typed: object,
  env: Session['io']['env'],
): Readonly<Record<string, unknown>> {
  return { ...otherwise(userOptions(app, command), command, env), ...typed };
}

/** What `userPreloadOptions` tells; undefined: the app has no options for all commands. */
export function preloadOptions(
  app: Celery,
  command: string,
  typed: Readonly<Record<string, unknown>>,
  env: Session['io']['env'],
): Readonly<Record<string, unknown>> | undefined {
  const all = userOptions(app, '');
  if (all.length === 0) return undefined;
  return Object.fromEntries(
    Object.entries(otherwise(all, command, env)).map(([key, value]) => [key, typed[key] ?? value]),
  );
}

function userOptions(app: Celery, command: string): readonly UserOption[] {
  const name = EXTENDED.find((one) => one === command);
  // An app of another copy of the library may not have all of them.
  const own: Partial<UserOptions> = app.userOptions ?? {};
  return [...((name && own[name]?.all) ?? []), ...(own.preload?.all ?? [])];
}

function otherwise(
  options: readonly UserOption[],
  command: string,
  env: Session['io']['env'],
): Record<string, unknown> {
  return Object.fromEntries(
    options.map(parsing).map((option) => {
      const found = valueFromEnvironment(option, command, env);
      return [option.attributeName(), found ?? (option.defaultValue as unknown)];
    }),
  );
}

function* family(command: Command): Generator<Command> {
  yield command;
  for (const below of command.commands) yield* family(below);
}

function parsing({ flags, help, default: otherwise, parse }: UserOption): Option {
  const option = new Option(flags, help);
  if (otherwise !== undefined) option.default(otherwise);
  if (parse) option.argParser((text) => reading(parse, text));
  return option;
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
