import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Celery } from '../app/celery.ts';
import { LoadError } from '../app/load-error.ts';
import { ModuleLoader } from '../app/module-loader.ts';
import { CommandError, EXIT } from './exit.ts';
import type { Session } from './session.ts';

/*
 * A project adds commands by naming modules in its package.json:
 *
 *   { "celeriac": { "commands": ["celeriac-audit", "./tools/commands.ts"] } }
 *
 * Each exports `addCommands(program, context)`. Celery's counterpart is the entry point group `celery.commands`.
 */

/** What a command of a plug-in may use. */
export interface PluginContext {
  /** The app of `-A`; without it one that knows only the broker. Call it from the command's action. */
  app(): Promise<Celery>;
  /** A line on stdout. */
  print(text: string): void;
  /** One line of JSON on stdout. */
  json(value: unknown): void;
  /** Something to know beside the result, on stderr; not with `--quiet`. */
  note(text: string): void;
}

/** Export of a plug-in's module: adds commands to the program (commander's `Command`). */
export type AddCommands = (program: Command, context: PluginContext) => void | Promise<void>;

/** @throws {CommandError} for a module that cannot be loaded, or a command that exists already */
export async function addPluginCommands(program: Command, session: Session, argv: readonly string[]): Promise<void> {
  const directory = resolve(session.io.cwd(), workdirOf(argv) ?? '.');
  const modules = named(directory);
  if (modules.length === 0) return;
  const loader = new ModuleLoader(directory);
  const context: PluginContext = {
    app: () => session.app(),
    print: (text) => session.print(text),
    json: (value) => session.json(value),
    note: (text) => session.note(text),
  };
  for (const module of modules) {
    try {
      const { addCommands } = (await loader.import(loader.resolve(module))) as { addCommands?: AddCommands };
      if (typeof addCommands !== 'function') throw new Error('it exports no function addCommands(program, context)');
      await addCommands(program, context);
    } catch (cause) {
      const { message } = cause as Error;
      const hint = cause instanceof LoadError ? cause.hint : undefined;
      throw new CommandError(`commands of "${module}" (named in package.json) cannot be added: ${message}`, {
        exitCode: EXIT.usage,
        cause,
        ...(hint !== undefined && { hint }),
      });
    }
  }
}

function workdirOf(argv: readonly string[]): string | undefined {
  const at = argv.findIndex((word) => word === '--workdir' || word.startsWith('--workdir='));
  const word = argv[at];
  if (word === undefined) return undefined;
  return word === '--workdir' ? argv[at + 1] : word.slice('--workdir='.length);
}

function named(directory: string): readonly string[] {
  const file = resolve(directory, 'package.json');
  if (!existsSync(file)) return [];
  try {
    const { celeriac } = JSON.parse(readFileSync(file, 'utf8')) as { celeriac?: { commands?: unknown } };
    const { commands = [] } = celeriac ?? {};
    return [commands].flat().filter((one): one is string => typeof one === 'string');
  } catch {
    // A package.json that nobody can read is for npm to complain about.
    return [];
  }
}
