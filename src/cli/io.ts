import type { Clock } from '../runtime/clock.ts';
import type { CrashSource, SignalSource } from '../runtime/signals.ts';

/** Where text goes: a stream of Node, or a list in tests. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** Where answers to questions come from. */
export type Input = NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined };

/** Everything the command line has of the world outside; tests hand in their own. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: Input;
  /** `-b` and `--result-backend` write here, before the app is loaded. */
  readonly env: Record<string, string | undefined>;
  readonly clock: Clock;
  readonly signals: SignalSource & CrashSource;
  cwd(): string;
  chdir(directory: string): void;
  /** Ends the process at once. */
  exit(code: number): void;
  /** Runs this program once more with the same arguments; resolves to the exit code. Left out: SIGHUP is not listened to. */
  readonly respawn?: (() => Promise<number>) | undefined;
}

/** Colours by meaning; without a terminal they change nothing. */
export interface Paint {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warning: (text: string) => string;
  readonly name: (text: string) => string;
  readonly faint: (text: string) => string;
  readonly strong: (text: string) => string;
}

const code =
  (on: number, off: number) =>
  (text: string): string =>
    `\u001b[${on}m${text}\u001b[${off}m`;
const same = (text: string): string => text;

const COLOURS: Paint = {
  good: code(32, 39),
  bad: code(31, 39),
  warning: code(33, 39),
  name: code(36, 39),
  faint: code(2, 22),
  strong: code(1, 22),
};
const PLAIN: Paint = { good: same, bad: same, warning: same, name: same, faint: same, strong: same };

/** Colours only on a terminal, and not where `NO_COLOR` is set to anything (no-color.org) or TERM is `dumb`. */
export function hasColours(output: Output, env: Io['env']): boolean {
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  return output.isTTY === true && env['TERM'] !== 'dumb';
}

export function paint(colours: boolean): Paint {
  return colours ? COLOURS : PLAIN;
}
