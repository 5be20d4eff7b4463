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
  /** Whether a line written now is to be captured. @default always */
  readonly wanted?: () => boolean;
  /** What code writes to this stream directly is captured as well, while it is `mine`. */
  readonly stdout?: { readonly stream: { write: NodeJS.WriteStream['write'] }; readonly mine: () => boolean };
}

const METHODS = ['debug', 'log', 'info', 'warn', 'error'] as const;
const ORDER: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/**
 * Lets what code writes with `console`, or to standard output, become lines of the log.
 * @returns a function that puts the console back; harmless twice
 */
export function captureConsole(options: CaptureOptions): () => void {
  const { log, level, fields, wanted, stdout } = options;
  const target = options.console ?? globalThis.console;
  const before = METHODS.map((method) => [method, target[method]] as const);
  let inside = false;
  for (const method of METHODS) {
    const own = levelOf(method, level);
    target[method] = (...args: unknown[]): void => {
      // A logger that itself writes with `console` must not call itself.
      if (inside || wanted?.() === false) return before.find(([name]) => name === method)?.[1].apply(target, args);
      inside = true;
      try {
        if (own !== undefined) log[own](fields(), format(...args));
      } finally {
        inside = false;
      }
    };
  }
  const own = levelOf('log', level);
  const putBack =
    stdout &&
    captureStream(
      stdout,
      (line) => {
        inside = true;
        try {
          if (own !== undefined) log[own](fields(), line);
        } finally {
          inside = false;
        }
      },
      () => inside,
    );
  return () => {
    for (const [method, original] of before.splice(0)) target[method] = original;
    putBack?.();
  };
}

type Done = (error?: Error | null) => void;

/** Line by line; empty ones say nothing. */
function captureStream(
  { stream, mine }: NonNullable<CaptureOptions['stdout']>,
  line: (text: string) => void,
  inside: () => boolean,
): () => void {
  const { write } = stream;
  const captured = (chunk: string | Uint8Array, encoding?: BufferEncoding | Done, done?: Done): boolean => {
    const told = typeof encoding === 'function' ? encoding : done;
    if (inside() || !mine()) return write.call(stream, chunk, encoding as BufferEncoding, done);
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    for (const one of text.split('\n')) if (one.trim() !== '') line(one.trimEnd());
    if (told) queueMicrotask(() => told(null));
    return true;
  };
  stream.write = captured as NodeJS.WriteStream['write'];
  return () => {
    if (stream.write === captured) stream.write = write;
  };
}

function levelOf(method: (typeof METHODS)[number], level: LogLevel): Captured | undefined {
  const least = method === 'log' ? 'trace' : method;
  const wanted = method === 'debug' ? 'debug' : ORDER.indexOf(least) > ORDER.indexOf(level) ? least : level;
  return wanted === 'silent' ? undefined : wanted === 'trace' ? 'debug' : wanted;
}
