import type { Command, Option } from 'commander';
import { CommandError, EXIT } from './exit.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const TRUE = new Set(['1', 'true', 'yes', 'on', 't', 'y']);
const FALSE = new Set(['', '0', 'false', 'no', 'off', 'f', 'n']);

/** Explicit names of global options, besides `CELERY_<OPTION>`. Source: spec cli.md. */
const GLOBAL_NAMES: Readonly<Record<string, string>> = {
  app: 'APP',
  broker: 'BROKER_URL',
  resultBackend: 'RESULT_BACKEND',
};

function screaming(longFlag: string): string {
  return longFlag
    .replace(/^--(no-)?/, '')
    .replaceAll('-', '_')
    .toUpperCase();
}

/** Variables that stand in for an option, the strongest first. */
export function variablesOf(option: Option, command: Command): readonly string[] {
  if (option.long === undefined || option.long === null) return [];
  const name = screaming(option.long);
  if (command.parent === null) {
    const explicit = GLOBAL_NAMES[option.attributeName()];
    return explicit === undefined ? [`CELERY_${name}`] : [`CELERY_${name}`, explicit];
  }
  return [variableOf(option, command.name())];
}

const variableOf = ({ long }: Option, command: string): string =>
  `CELERY_${screaming(command)}_${screaming(long ?? '')}`;

function flag(text: string, variable: string): boolean {
  const word = text.trim().toLowerCase();
  if (TRUE.has(word)) return true;
  if (FALSE.has(word)) return false;
  throw new CommandError(`${variable}: expected 1, true, yes, on or 0, false, no, off, got "${text}"`, {
    exitCode: EXIT.usage,
  });
}

/** Fills in options that were not typed from their environment variables. */
export function applyEnvironment(command: Command, env: Environment): void {
  for (const option of command.options) {
    const key = option.attributeName();
    if (command.getOptionValueSource(key) === 'cli') continue;
    const value = fromEnvironment(option, variablesOf(option, command), env);
    if (value !== undefined) command.setOptionValueWithSource(key, value, 'env');
  }
}

/** What the environment says about an option of a command that has not been told of it. */
export function valueFromEnvironment(option: Option, command: string, env: Environment): unknown {
  return fromEnvironment(option, [variableOf(option, command)], env);
}

function fromEnvironment(option: Option, variables: readonly string[], env: Environment): unknown {
  for (const variable of variables) {
    const text = env[variable];
    if (text === undefined || text === '') continue;
    if (!option.isBoolean() && !option.negate) {
      return option.parseArg === undefined ? text : parsed(option, text, variable);
    }
    // `--no-color` is stored as `color: false`.
    return flag(text, variable) ? !option.negate : undefined;
  }
  return undefined;
}

function parsed(option: Option, text: string, variable: string): unknown {
  try {
    return option.parseArg?.(text, undefined);
  } catch (cause) {
    throw new CommandError(`${variable}: ${(cause as Error).message}`, { exitCode: EXIT.usage, cause });
  }
}
