/** From chatty to grave; `silent` prints nothing. Celery's names: WARNING is `warn`, CRITICAL is `fatal`. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

type Fields = Readonly<Record<string, unknown>>;
type Log = (fields: Fields, message: string) => void;

/** What the library logs through; a pino logger fits as it is. Values go into the fields, never into the message. */
export interface Logger {
  readonly debug: Log;
  readonly info: Log;
  readonly warn: Log;
  readonly error: Log;
  readonly fatal: Log;
  /** A logger that adds `fields` to every line. */
  child(fields: Fields): Logger;
  /** Lets a hot path skip building fields. Default: everything is enabled. */
  isLevelEnabled?(level: LogLevel): boolean;
}

const nothing: Log = () => {};

/** The library's own default: it prints nothing. The command line installs a printer. */
export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
  child: () => silentLogger,
  isLevelEnabled: () => false,
};
