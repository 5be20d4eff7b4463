import { UsageError } from '../errors.ts';

/** Types that the command line turns words into. */
export type CommandArgument = 'string' | 'number' | 'boolean';

type ValueOf<T extends CommandArgument> = T extends 'number' ? number : T extends 'boolean' ? boolean : string;

export interface CustomCommandOptions<A extends Readonly<Record<string, CommandArgument>>> {
  /** Names of its arguments in the order of the command line, and their types. @default none */
  readonly args?: A | undefined;
  /** This argument takes all words that are left, as a list. */
  readonly variadic?: string | undefined;
  readonly help?: string | undefined;
}

/** What a command of yours may ask about the worker that runs it. */
export interface CommandScope {
  /** Node name. */
  readonly hostname: string;
  /** Ids of running tasks. */
  readonly active: readonly string[];
  /** Ids of tasks that wait here for a slot or for their time. */
  readonly reserved: readonly string[];
}

export type CommandArguments<A extends Readonly<Record<string, CommandArgument>>> = {
  readonly [K in keyof A]?: ValueOf<A[K]> | undefined;
};

export interface CustomCommand {
  readonly name: string;
  /** `control` changes something, `inspect` only tells. */
  readonly kind: 'control' | 'inspect';
  readonly help: string;
  readonly args: Readonly<Record<string, CommandArgument>>;
  readonly variadic: string | undefined;
  readonly run: (scope: CommandScope, args: Readonly<Record<string, unknown>>) => unknown;
}

/** Commands for remote control that an app adds to Celery's own. */
export class CustomCommands {
  readonly #commands = new Map<string, CustomCommand>();

  /** @throws {UsageError} when the name is taken */
  add(command: CustomCommand): void {
    const { name } = command;
    if (!/^[a-z][a-z0-9_]*$/i.test(name)) {
      throw new UsageError(`command "${name}": expected a name of letters, digits and underscores`);
    }
    if (this.#commands.has(name)) throw new UsageError(`the command "${name}" is defined twice`);
    this.#commands.set(name, command);
  }

  get(name: string): CustomCommand | undefined {
    return this.#commands.get(name);
  }

  ofKind(kind: CustomCommand['kind']): readonly CustomCommand[] {
    return [...this.#commands.values()].filter((one) => one.kind === kind);
  }
}

export type RunCommand<A extends Readonly<Record<string, CommandArgument>>> = (
  scope: CommandScope,
  args: CommandArguments<A>,
) => unknown;
