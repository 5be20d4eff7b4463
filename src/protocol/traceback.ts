import { RemoteError } from '../errors.ts';
import { toExceptionRecord } from './exception-record.ts';
import { pyRepr } from './repr.ts';

/*
 * Stacks as Python prints tracebacks: outermost call first, the error last. Flower and `celery result --traceback`
 * show this text as it is.
 */

const FRAME = /^\s*at (?:(?:async )?(.+?) \()?(?:file:\/\/)?(.+?):(\d+):\d+\)?$/;
const CAUSED = '\nThe above exception was the direct cause of the following exception:\n\n';
const MOST_CAUSES = 8;
/** Lines of the message stand in the stack as well, and may be anything. */
const LONGEST_FRAME = 1000;
const LONGEST = 64 * 1024;

function frames(stack: string): string[] {
  const lines: string[] = [];
  for (const line of stack.split('\n')) {
    const match = line.length > LONGEST_FRAME ? null : FRAME.exec(line);
    if (match) lines.unshift(`  File "${match[2]}", line ${match[3]}, in ${match[1] ?? '<module>'}`);
  }
  return lines;
}

function lastLine(error: unknown): string {
  const { exc_type, exc_module, exc_message } = toExceptionRecord(error);
  const name = exc_module === null || exc_module === 'builtins' ? exc_type : `${exc_module}.${exc_type}`;
  const text = exc_message.map((arg) => (typeof arg === 'string' ? arg : pyRepr(arg))).join(', ');
  return text === '' ? name : `${name}: ${text}`;
}

function one(error: unknown): string {
  if (error instanceof RemoteError && error.traceback !== null) return error.traceback;
  const stack = error instanceof Error && typeof error.stack === 'string' ? frames(error.stack) : [];
  return ['Traceback (most recent call last):', ...stack, lastLine(error), ''].join('\n');
}

/** Text of an error and its causes for a result's `traceback`; ends with a newline. Bounded, never throws. */
export function formatTraceback(error: unknown): string {
  const parts: string[] = [];
  let current = error;
  do {
    parts.unshift(one(current));
    current = current instanceof Error ? current.cause : undefined;
  } while (current !== undefined && current !== null && parts.length < MOST_CAUSES);
  const text = parts.join(CAUSED);
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST / 2)}\n  ...\n${text.slice(-LONGEST / 2)}`;
}
