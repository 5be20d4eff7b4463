import { format } from 'node:util';
import type { Logger, LogLevel } from './logger.ts';

type Fields = Readonly<Record<string, unknown>>;
type Captured = Exclude<LogLevel, 'silent' | 'trace'>;

export interface CaptureOptions {
  readonly log: Logger;
  /** For `console.log` and `console.info`; the others have levels of their own where that is graver. */
  readonly level: LogLevel;
  /** More fields for each line: whose task it is. */
  readonly fields: () => Fields;
  /** @default the process's console */
  readonly console?: Pick<Console, (typeof METHODS)[number]>;
}

const METHODS = ['debug', 'log', 'info', 'warn', 'error'] as const;
const ORDER: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/**
 * Lets what code writes with `console` become lines of the log. Writing to a stream directly is left alone.
 * @returns a function that puts the console back; harmless twice
 */
export function captureConsole(options: CaptureOptions): () => void {
  const { log, level, fields } = options;
  const target = options.console ?? globalThis.console;
  const before = METHODS.map((method) => [method, target[method]] as const);
  let inside = false;
  for (const method of METHODS) {
    const own = levelOf(method, level);
    target[method] = (...args: unknown[]): void => {
      // A logger that itself writes with `console` must not call itself.
      if (inside) return before.find(([name]) => name === method)?.[1].apply(target, args);
      inside = true;
      try {
        if (own !== undefined) log[own](fields(), format(...args));
      } finally {
        inside = false;
      }
    };
  }
  return () => {
    for (const [method, original] of before.splice(0)) target[method] = original;
  };
}

function levelOf(method: (typeof METHODS)[number], level: LogLevel): Captured | undefined {
  const least = method === 'log' ? 'trace' : method;
  const wanted = method === 'debug' ? 'debug' : ORDER.indexOf(least) > ORDER.indexOf(level) ? least : level;
  return wanted === 'silent' ? undefined : wanted === 'trace' ? 'debug' : wanted;
}
