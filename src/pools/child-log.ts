import { CeleryError } from '../errors.ts';
import type { Logger, LogLevel } from '../runtime/logger.ts';
import type { ToParent } from './wire.ts';

type Fields = Readonly<Record<string, unknown>>;
type Printed = Exclude<LogLevel, 'silent' | 'trace'>;

const LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/** The lowest level that a logger prints. */
export function lowestLevel(log: Logger): LogLevel {
  return LEVELS.find((level) => level !== 'silent' && (log.isLevelEnabled?.(level) ?? level !== 'trace')) ?? 'silent';
}

/** A child's logger: its lines are printed by the parent, so that they are in order and in one format. */
export class ChildLog implements Logger {
  readonly #send: (message: ToParent) => void;
  readonly #level: LogLevel;
  readonly #fields: Fields;

  constructor(send: (message: ToParent) => void, level: LogLevel, fields: Fields = {}) {
    this.#send = send;
    this.#level = level;
    this.#fields = fields;
  }

  readonly debug = (fields: Fields, message: string): void => this.#write('debug', fields, message);
  readonly info = (fields: Fields, message: string): void => this.#write('info', fields, message);
  readonly warn = (fields: Fields, message: string): void => this.#write('warn', fields, message);
  readonly error = (fields: Fields, message: string): void => this.#write('error', fields, message);
  readonly fatal = (fields: Fields, message: string): void => this.#write('fatal', fields, message);

  child(fields: Fields): Logger {
    return new ChildLog(this.#send, this.#level, { ...this.#fields, ...fields });
  }

  isLevelEnabled(level: LogLevel): boolean {
    return LEVELS.indexOf(level) >= LEVELS.indexOf(this.#level);
  }

  #write(level: Printed, fields: Fields, message: string): void {
    if (!this.isLevelEnabled(level)) return;
    const sent = Object.fromEntries(Object.entries({ ...this.#fields, ...fields }).map(([k, v]) => [k, portable(v)]));
    this.#send(['log', level, sent, message]);
  }
}

/** What JSON can carry of a field. */
function portable(value: unknown): unknown {
  if (value instanceof Error) {
    const { name, message, stack } = value;
    return { [ERROR]: { name, message, stack, ...(CeleryError.is(value) ? { code: value.code } : {}) } };
  }
  if (value === null || typeof value !== 'object') return typeof value === 'bigint' ? String(value) : value;
  try {
    return JSON.parse(JSON.stringify(value)) as unknown;
  } catch {
    return String(value);
  }
}

/** Marks an error among the fields. */
const ERROR = '__error__';

/** Prints a child's line through the parent's logger. */
export function printLine(log: Logger, level: Printed, fields: Fields, message: string): void {
  const revived = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, revive(value)]));
  log[level](revived, message);
}

function revive(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !(ERROR in value)) return value;
  const { message, ...rest } = value[ERROR] as { readonly message: string };
  return Object.assign(new Error(message), rest);
}
