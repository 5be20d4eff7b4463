import { LoadError } from '../app/load-error.ts';
import { CeleryError } from '../errors.ts';
import { maskSecrets } from './mask.ts';

/** What the process ends with; scripts may rely on it. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  /** Nobody answered, or the broker is out of reach (`EX_UNAVAILABLE`, as in Celery). */
  unavailable: 69,
} as const;

/** An end that a command chose: a message for people, what to do next, and the exit code. */
export class CommandError extends Error {
  readonly exitCode: number;
  /** What to do about it; printed on a line of its own. */
  readonly hint: string | undefined;
  constructor(message: string, options: { exitCode?: number; hint?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = 'CommandError';
    this.exitCode = options.exitCode ?? EXIT.failure;
    this.hint = options.hint;
  }
}

export interface Ending {
  /** Lines for stderr, secrets masked, ended by a newline. */
  readonly text: string;
  readonly exitCode: number;
}

const HINTS: Readonly<Record<string, string>> = {
  ERR_OPERATIONAL: 'Is the broker running, and is its URL right? See it with: celeriac report',
  ERR_PUBLISH_TIMEOUT: 'Is the broker running, and is its URL right? See it with: celeriac report',
};

/** What an error that ended a command looks like to the person who typed it. */
export function endingOf(error: unknown): Ending {
  if (error instanceof CommandError) return ending(error.message, error.exitCode, error.hint);
  if (error instanceof LoadError) {
    return ending(error.message, error.missing ? EXIT.usage : EXIT.failure, error.hint);
  }
  if (CeleryError.is(error)) {
    const unavailable = error.code in HINTS;
    return ending(error.message, unavailable ? EXIT.unavailable : EXIT.failure, HINTS[error.code]);
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return ending(text, EXIT.failure, undefined);
}

function ending(message: string, exitCode: number, hint: string | undefined): Ending {
  return { text: maskSecrets(`Error: ${message}\n${hint === undefined ? '' : `${hint}\n`}`), exitCode };
}
