import type { CommandArgument, CustomCommand } from '../app/custom-commands.ts';
import { CommandError, EXIT } from './exit.ts';

/** How a command of the app's own is typed. */
export interface TypedCommand {
  readonly help: string;
  readonly usage: string;
  readonly needs: number;
  readonly most: number;
  readonly read: (words: readonly string[]) => Readonly<Record<string, unknown>>;
}

export function typedCommand({ args, help, variadic }: CustomCommand): TypedCommand {
  const names = Object.keys(args);
  const shown = [...names.map((name) => `[${name}]`), ...(variadic === undefined ? [] : [`[${variadic}\u2026]`])];
  return {
    help,
    usage: shown.join(' '),
    needs: 0,
    most: variadic === undefined ? names.length : Infinity,
    read: (words) => {
      const fixed = names.flatMap((name, index): [string, unknown][] => {
        const word = words[index];
        return word === undefined ? [] : [[name, valueOf(name, word, args[name] as CommandArgument)]];
      });
      const rest = words.slice(names.length);
      return Object.fromEntries([...fixed, ...(variadic === undefined ? [] : [[variadic, rest] as const])]);
    },
  };
}

function valueOf(name: string, word: string, type: CommandArgument): string | number | boolean {
  if (type === 'string') return word;
  if (type === 'boolean') return ['1', 'true', 'yes', 'on'].includes(word.toLowerCase());
  const value = Number(word);
  if (word.trim() !== '' && Number.isFinite(value)) return value;
  throw new CommandError(`${name}: expected a number, got "${word}"`, { exitCode: EXIT.usage });
}
