import { silentLogger, type Logger, type LogLevel } from './logger.ts';

type Fields = Readonly<Record<string, unknown>>;

/**
 * A logger whose destination can be chosen later: an app that was given none logs through one of these, and the
 * command line attaches its printer. Silent until then. Children follow their parent.
 */
export class LogRelay implements Logger {
  readonly #parent: LogRelay | undefined;
  readonly #fields: Fields;
  #target: Logger | undefined;
  /** The target `#bound` was made for. */
  #boundTo: Logger | undefined;
  #bound: Logger = silentLogger;

  constructor(parent?: LogRelay, fields: Fields = {}) {
    this.#parent = parent;
    this.#fields = fields;
  }

  /** Where lines go from now on, also those of children made before. */
  attach(target: Logger): void {
    this.#target = target;
  }

  readonly debug = (fields: Fields, message: string): void => this.#logger().debug(fields, message);
  readonly info = (fields: Fields, message: string): void => this.#logger().info(fields, message);
  readonly warn = (fields: Fields, message: string): void => this.#logger().warn(fields, message);
  readonly error = (fields: Fields, message: string): void => this.#logger().error(fields, message);
  readonly fatal = (fields: Fields, message: string): void => this.#logger().fatal(fields, message);

  child(fields: Fields): Logger {
    return new LogRelay(this, fields);
  }

  isLevelEnabled(level: LogLevel): boolean {
    const logger = this.#logger();
    return logger.isLevelEnabled?.(level) ?? true;
  }

  #logger(): Logger {
    const parent = this.#parent;
    if (this.#target !== undefined || parent === undefined) return this.#target ?? silentLogger;
    const target = parent.#logger();
    if (target !== this.#boundTo) {
      this.#boundTo = target;
      this.#bound = target.child(this.#fields);
    }
    return this.#bound;
  }
}
