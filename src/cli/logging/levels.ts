import type { LogLevel } from '../../runtime/logger.ts';
import { CommandError, EXIT } from '../exit.ts';

/** From chatty to grave. */
const ORDER: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/** What `-l` takes, in any case: Celery's names and the library's own. */
const NAMES: Readonly<Record<string, LogLevel>> = {
  debug: 'debug',
  info: 'info',
  warning: 'warn',
  warn: 'warn',
  error: 'error',
  critical: 'fatal',
  fatal: 'fatal',
};

/** How a level is written in Celery's text format. */
const CELERY_NAMES: Readonly<Record<LogLevel, string>> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
  silent: 'CRITICAL',
};

export const LEVEL_NAMES = 'DEBUG, INFO, WARNING, ERROR, CRITICAL, FATAL';

export function rank(level: LogLevel): number {
  return ORDER.indexOf(level);
}

export function celeryName(level: LogLevel): string {
  return CELERY_NAMES[level];
}

/** @throws {CommandError} exit code 2 for anything else */
export function parseLevel(text: string): LogLevel {
  const level = NAMES[text.toLowerCase()];
  if (level !== undefined) return level;
  throw new CommandError(`log level: expected one of ${LEVEL_NAMES}, got "${text}"`, { exitCode: EXIT.usage });
}
