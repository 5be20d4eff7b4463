import { resolve } from 'node:path';
import { Celery } from '../app/celery.ts';
import { findConfigFile } from '../app/config-file.ts';
import type { CeleryOptions } from '../app/celery.ts';
import type { Logger } from '../runtime/logger.ts';
import type { LogRelay } from '../runtime/log-relay.ts';
import { CommandError, EXIT } from './exit.ts';
import { hasColours, paint, type Io, type Output, type Paint } from './io.ts';
import { ModuleLoader } from '../app/module-loader.ts';
import { Printer } from './logging/printer.ts';
import { textFormat } from './logging/text-format.ts';
import { maskSecrets } from './mask.ts';
import { preloadOptions } from './user-options.ts';

/** Options that every command has. */
export interface GlobalOptions {
  readonly app?: string;
  readonly broker?: string;
  readonly resultBackend?: string;
  readonly config?: string;
  readonly workdir?: string;
  /** `false` with `--no-color`. */
  readonly color?: boolean;
  readonly quiet?: boolean;
}

interface Begun {
  readonly command: string;
  readonly typed: Readonly<Record<string, unknown>>;
}

/** One run of the command line: what was typed, the app it is about, and where text goes. */
export class Session {
  readonly io: Io;
  /** What the command ends with unless it throws. */
  exitCode: number = EXIT.ok;
  #options: GlobalOptions = {};
  #loader: ModuleLoader | undefined;
  #app: Promise<Celery> | undefined;
  #begun: Begun | undefined;
  #told: Promise<Celery> | undefined;

  constructor(io: Io) {
    this.io = io;
  }

  get options(): GlobalOptions {
    return this.#options;
  }

  /** Called once all global options are known, before the command begins. */
  configure(options: GlobalOptions): void {
    const moved = this.#options.workdir === options.workdir;
    this.#options = options;
    const { io } = this;
    if (options.workdir !== undefined && !moved) {
      try {
        io.chdir(options.workdir);
      } catch (cause) {
        throw new CommandError(`--workdir: ${(cause as Error).message}`, { exitCode: EXIT.usage, cause });
      }
    }
    // Through the environment, as in Celery: that is what an app reads, also in child processes.
    if (options.broker !== undefined) io.env['CELERY_BROKER_URL'] = options.broker;
    if (options.resultBackend !== undefined) io.env['CELERY_RESULT_BACKEND'] = options.resultBackend;
    if (options.color === false) io.env['NO_COLOR'] = '1';
  }

  get loader(): ModuleLoader {
    return (this.#loader ??= new ModuleLoader(this.io.cwd()));
  }

  colours(output: Output): boolean {
    return hasColours(output, this.io.env);
  }

  get paint(): Paint {
    return paint(this.colours(this.io.stdout));
  }

  /** The result of the command, on stdout. */
  print(text: string): void {
    this.io.stdout.write(`${text}\n`);
  }

  /** Something to know beside the result, on stderr; not with `--quiet`. */
  note(text: string): void {
    if (!this.#options.quiet) this.io.stderr.write(`${maskSecrets(text)}\n`);
  }

  /** For scripts: one line of JSON on stdout. */
  json(value: unknown): void {
    this.print(JSON.stringify(value, (_key, one: unknown) => (typeof one === 'bigint' ? String(one) : one)) ?? 'null');
  }

  /** The app of `-A`; without it one that knows only the broker, unless the command cannot do with that. */
  app(needed: 'tasks' | 'broker' = 'broker'): Promise<Celery> {
    this.#app ??= this.#open(needed);
    return this.#begun === undefined ? this.#app : (this.#told ??= this.#tell(this.#app, this.#begun));
  }

  /** The command is read and about to run: its app is told what was typed for it. */
  begin(command: string, typed: Readonly<Record<string, unknown>>): void {
    this.#begun = { command, typed };
  }

  async #tell(opened: Promise<Celery>, { command, typed }: Begun): Promise<Celery> {
    const app = await opened;
    const options = preloadOptions(app, command, typed, this.io.env);
    if (options !== undefined) await app.signals.emit('userPreloadOptions', { sender: command, options });
    return app;
  }

  async #open(needed: 'tasks' | 'broker'): Promise<Celery> {
    const { app: spec } = this.#options;
    if (spec === undefined && needed === 'tasks') {
      throw new CommandError('no application given', {
        exitCode: EXIT.usage,
        hint: 'Name the file that exports it: celeriac worker -A app.ts  (or set CELERY_APP)',
      });
    }
    const app = spec === undefined ? await this.#bareApp() : await this.loader.app(spec);
    this.useLog(app, this.#clientLog());
    return app;
  }

  async #bareApp(): Promise<Celery> {
    const { env } = this.io;
    const module = this.#options.config ?? env['CELERY_CONFIG_MODULE'] ?? findConfigFile(this.io.cwd());
    if (module === undefined || module === '') return new Celery({ env });
    const exported = await this.loader.import(this.loader.resolve(module));
    const settings = (exported['default'] ?? exported) as CeleryOptions;
    return new Celery({ ...settings, env });
  }

  /** Warnings and worse, for commands that are not workers. */
  #clientLog(): Logger {
    const { stderr: output, clock } = this.io;
    return new Printer({ output, clock, level: 'warn', format: textFormat({ colours: this.colours(output) }) });
  }

  /** Makes the app log here, unless its author gave it a logger. */
  useLog(app: Celery, log: Logger): void {
    const own = app.log as Logger & Partial<LogRelay>;
    // By what it can do, not by its class: the app may be made by another copy of the library.
    if (typeof own.attach === 'function') own.attach(log);
    else if (own instanceof Printer || own.isLevelEnabled?.('fatal') === false)
      Object.defineProperty(app, 'log', { value: log });
  }

  /** A path as it was typed, from the working directory. */
  path(name: string): string {
    return resolve(this.io.cwd(), name);
  }

  /** Harmless twice. Never throws: the command's own error matters more. */
  async close(): Promise<void> {
    const app = await this.#app?.catch(() => undefined);
    await app?.close().catch((error: unknown) => this.note(`closing the app failed: ${(error as Error).message}`));
  }
}
