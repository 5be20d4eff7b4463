import type { Logger, LogLevel } from './logger.ts';

type Fields = Readonly<Record<string, unknown>>;
type Write = (message: string, fields: Fields) => unknown;

/** A logger whose methods take the message first: winston's, log4js's, `console`. */
export interface MessageFirstLogger {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
  /** @default `error` */
  readonly fatal?: Write | undefined;
  /** Asked before fields are built; names it does not know are asked for as `debug` and `error`. */
  isLevelEnabled?(level: string): boolean;
}

export interface MessageFirstOptions {
  /** Lines below are dropped here. @default what the logger itself says, else everything */
  readonly level?: LogLevel | undefined;
}

const LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/**
 * The logger of an app for one that takes `(message, fields)`.
 *
 * @example
 * const app = new Celery({ log: messageFirst(winston.createLogger({ … })) });
 * const app = new Celery({ log: messageFirst(console, { level: 'info' }) });
 */
export function messageFirst(target: MessageFirstLogger, options: MessageFirstOptions = {}): Logger {
  return bound(target, options.level, {});
}

function bound(target: MessageFirstLogger, level: LogLevel | undefined, fixed: Fields): Logger {
  const lowest = level === undefined ? 0 : LEVELS.indexOf(level);
  const isLevelEnabled = (asked: LogLevel): boolean => {
    if (asked === 'silent' || LEVELS.indexOf(asked) < lowest) return false;
    const known = asked === 'trace' ? 'debug' : asked === 'fatal' ? 'error' : asked;
    return target.isLevelEnabled?.(known) ?? true;
  };
  const at = (own: 'debug' | 'info' | 'warn' | 'error' | 'fatal') => (fields: Fields, message: string) => {
    if (LEVELS.indexOf(own) < lowest) return;
    const merged = { ...fixed, ...fields };
    if (own === 'fatal' && target.fatal === undefined) target.error(message, merged);
    else target[own]?.(message, merged);
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    fatal: at('fatal'),
    child: (fields) => bound(target, level, { ...fixed, ...fields }),
    isLevelEnabled,
  };
}
