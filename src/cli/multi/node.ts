import { normalize } from 'node:path';
import type { Options } from './options.ts';

export interface NodeSettings {
  readonly command: string;
  readonly append: string;
  readonly executable: string;
  /** Everything behind `--`. */
  readonly extra: string;
}

/** Options that belong before the word `worker`. */
const GLOBAL = [
  ...['-A', '--app', '-b', '--broker', '--result-backend', '--loader', '--config', '--workdir'],
  ...['-C', '--no-color', '-q', '--quiet'],
];
const PIDFILE = '/var/run/celery/%n.pid';
const LOGFILE = '/var/log/celery/%n%I.log';

/** Replaces `%x`. Source: `simple_format` of celery.utils.text. @throws {RangeError} for an unknown letter */
export function format(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/%([\p{L}\p{N}_])/gu, (_, letter: string) => {
    const value = values[letter];
    if (value === undefined) throw new RangeError(`unknown format %${letter} in "${template}"`);
    return value;
  });
}

/** One worker of a cluster: its name, options and command line. Source: `Node` of celery.apps.multi. */
export class Node {
  readonly name: string;
  readonly options: Options;
  readonly #settings: NodeSettings;

  constructor(name: string, options: Options, settings: NodeSettings) {
    this.name = name;
    this.#settings = settings;
    this.options = new Map(options).set('-n', name);
    this.#byDefault('--pidfile', '-p', PIDFILE);
    this.#byDefault('--logfile', '-f', LOGFILE);
    if (!this.options.has('--executable')) this.options.set('--executable', settings.executable);
  }

  #byDefault(long: string, short: string, value: string): void {
    if (this.options.get(short) === undefined && !this.options.has(long)) this.options.set(long, normalize(value));
  }

  /** `%n`, `%N` short name, `%h`, `%p` the whole name, `%d` host; `%i` and `%I` are left for the worker. */
  expand(template: string): string {
    const [short = '', ...host] = this.name.split('@');
    const domain = host.join('@');
    return format(template, { n: short, N: short, d: domain, h: this.name, p: this.name, i: '%i', I: '%I' });
  }

  get executable(): string {
    return this.options.get('--executable') ?? this.#settings.executable;
  }

  get pidfile(): string {
    return this.expand(this.options.get('--pidfile') ?? this.options.get('-p') ?? PIDFILE);
  }

  get logfile(): string {
    return this.expand(this.options.get('--logfile') ?? this.options.get('-f') ?? LOGFILE);
  }

  /** The command line behind the executable, in pieces for people and shells. */
  get argv(): string[] {
    const { command, append, extra } = this.#settings;
    const words = this.expand(command).split(' ');
    const at = words.findIndex((word) => /(^|[/'"])(celery|celeriac|main\.[jt]s)['"]?$/.test(word)) + 1;
    const rest: string[] = [];
    for (const [name, value] of this.options) {
      const text = optionText(name, value === undefined ? undefined : this.expand(value));
      if (GLOBAL.includes(name)) words.splice(at, 0, text);
      else rest.push(text);
    }
    return [words.join(' '), ...rest, extra, ...(append === '' ? [] : [this.expand(append)])];
  }

  get commandLine(): string {
    return [this.executable, ...this.argv].join(' ');
  }
}

function optionText(name: string, value: string | undefined): string {
  if (value === undefined || value === '') return name;
  return name.startsWith('--') ? `${name}=${value}` : `${name} ${value}`;
}
