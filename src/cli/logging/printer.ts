import type { Clock } from '../../runtime/clock.ts';
import type { Logger, LogLevel } from '../../runtime/logger.ts';
import type { Output } from '../io.ts';
import { rank } from './levels.ts';
import type { Format } from './text-format.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface PrinterOptions {
  readonly output: Output;
  readonly clock: Clock;
  /** Lines below are dropped before anything is built. */
  readonly level: LogLevel;
  readonly format: Format;
}

/** More than this is written without waiting for the end of the tick. */
const LONGEST_BUFFER = 64 * 1024;

/** Lines of one tick leave in one write. */
class Lines {
  readonly #output: Output;
  #buffer = '';
  #scheduled = false;

  constructor(output: Output) {
    this.#output = output;
  }

  add(line: string, now: boolean): void {
    this.#buffer += line;
    if (now || this.#buffer.length > LONGEST_BUFFER) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.flush());
    }
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#buffer === '') return;
    const text = this.#buffer;
    this.#buffer = '';
    this.#output.write(text);
  }
}

/** A logger that writes lines. `flush()` before the process ends. */
export class Printer implements Logger {
  readonly #options: PrinterOptions;
  readonly #fields: Fields;
  readonly #lines: Lines;
  readonly #rank: number;

  constructor(options: PrinterOptions, parent?: { readonly fields: Fields; readonly lines: Lines }) {
    this.#options = options;
    this.#fields = parent?.fields ?? {};
    this.#lines = parent?.lines ?? new Lines(options.output);
    this.#rank = rank(options.level);
  }

  readonly debug = (fields: Fields, message: string): void => this.#write('debug', fields, message);
  readonly info = (fields: Fields, message: string): void => this.#write('info', fields, message);
  readonly warn = (fields: Fields, message: string): void => this.#write('warn', fields, message);
  readonly error = (fields: Fields, message: string): void => this.#write('error', fields, message);
  readonly fatal = (fields: Fields, message: string): void => this.#write('fatal', fields, message);

  child(fields: Fields): Printer {
    return new Printer(this.#options, { fields: { ...this.#fields, ...fields }, lines: this.#lines });
  }

  isLevelEnabled(level: LogLevel): boolean {
    return rank(level) >= this.#rank;
  }

  flush(): void {
    this.#lines.flush();
  }

  #write(level: LogLevel, fields: Fields, message: string): void {
    if (!this.isLevelEnabled(level)) return;
    const record = { time: this.#options.clock.now(), level, fields: { ...this.#fields, ...fields }, message };
    // What may be the last words is not held back.
    this.#lines.add(this.#options.format(record), rank(level) >= rank('error'));
  }
}
