import { utf8TextOrUndefined, asBuffer } from '../serializers/utf8.ts';
import { scalarRepr } from './repr.ts';

/*
 * Bounded Python-like text of arguments, for logs, events and `inspect` (spec: messages.md 8).
 * Source: `celery.utils.saferepr`.
 */

const LONGEST = 1024;
const DEEPEST = 3;

export interface SafeReprOptions {
  /** Characters after which the text is cut; the closing brackets come on top. Default 1024; Infinity never cuts. */
  readonly maxLength?: number;
  /** Write a list on the outermost level as a tuple, `(1, 2)`. */
  readonly tuple?: boolean;
}

type Container =
  readonly unknown[] | Readonly<Record<string, unknown>> | ReadonlySet<unknown> | ReadonlyMap<unknown, unknown>;

interface Brackets {
  readonly open: string;
  readonly close: string;
}

function brackets(value: Container, asTuple: boolean): Brackets {
  if (Array.isArray(value))
    return asTuple ? { open: '(', close: value.length === 1 ? ',)' : ')' } : { open: '[', close: ']' };
  return { open: '{', close: '}' };
}

function isContainer(value: unknown): value is Container {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value) || value instanceof Set || value instanceof Map) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function typeName(value: Container): string {
  return Array.isArray(value) ? 'list' : value instanceof Set ? 'set' : 'dict';
}

const ASTRAL = /[\u{10000}-\u{10ffff}]/gu;

/** Characters as Python counts them: one for each code point. */
function lengthOf(text: string): number {
  const astral = text.match(ASTRAL);
  return astral === null ? text.length : text.length - astral.length;
}

/** The first characters, as Python counts them. */
function head(text: string, count: number): string {
  const enough = text.slice(0, count * 2);
  return enough.length === lengthOf(enough) ? enough.slice(0, count) : Array.from(enough).slice(0, count).join('');
}

/** Cuts at `limit`, then back to the last space, so that words stay whole. Looks at no more than it has to. */
function truncate(text: string, limit: number): string {
  if (text.length < limit || (text.length < limit * 2 && lengthOf(text) < limit)) return text;
  const cut = head(text, limit);
  const space = cut.lastIndexOf(' ');
  return `${space < 0 ? cut : cut.slice(0, space)}...`;
}

function bytesText(value: Uint8Array): string {
  return utf8TextOrUndefined(value) ?? asBuffer(value).toString('hex');
}

class SafeRepr {
  #left: number;
  #text = '';
  #ended = false;
  readonly #open: Container[] = [];

  constructor(maxLength: number) {
    this.#left = maxLength;
  }

  get text(): string {
    return this.#text;
  }

  /** True while there is budget for one more token; the first time there is none, says that something is missing. */
  #hasRoom(): boolean {
    if (this.#ended) return false;
    if (this.#left > 0) return true;
    this.#text += ', ...';
    this.#ended = true;
    return false;
  }

  #emit(token: string): void {
    if (!this.#hasRoom()) return;
    this.#text += token;
    this.#left -= lengthOf(token);
  }

  #emitCut(token: string): void {
    if (this.#hasRoom()) this.#emit(truncate(token, this.#left));
  }

  /** Quirk: the bracket at which the budget is found to be used up is lost, the ones around it are not. */
  #close(bracket: string): void {
    if (this.#ended) this.#text += bracket;
    else this.#emit(bracket);
  }

  write(value: unknown, asTuple: boolean): void {
    if (typeof value === 'string') this.#string(value);
    else if (value instanceof Uint8Array) this.#bytes(value);
    else if (isContainer(value)) this.#container(value, asTuple);
    else this.#emitCut(scalarRepr(value));
  }

  #string(value: string): void {
    if (this.#hasRoom()) this.#emit(`'${truncate(value, this.#left).replaceAll("'", "\\'")}'`);
  }

  #bytes(value: Uint8Array): void {
    if (!this.#hasRoom()) return;
    const cut = value.length > this.#left;
    this.#emit(cut ? `b'${bytesText(value.subarray(0, this.#left))}...'` : `b'${bytesText(value)}'`);
  }

  #container(value: Container, asTuple: boolean): void {
    if (value instanceof Set && value.size === 0) return this.#emitCut('set()');
    const { open, close } = brackets(value, asTuple);
    if (this.#open.length >= DEEPEST) return this.#emitCut(`${open}...${close}`);
    if (this.#open.includes(value)) return this.#emitCut(`<Recursion on ${typeName(value)} with id=0>`);
    this.#emit(open);
    this.#open.push(value);
    if (Array.isArray(value) || value instanceof Set) this.#items(value as Iterable<unknown>);
    else this.#entries(value instanceof Map ? value : Object.entries(value));
    this.#open.pop();
    this.#close(close);
  }

  #items(values: Iterable<unknown>): void {
    let first = true;
    for (const item of values) {
      if (this.#ended) return;
      if (!first) this.#emit(', ');
      first = false;
      if (!this.#ended) this.write(item, false);
    }
  }

  #entries(entries: Iterable<readonly [unknown, unknown]>): void {
    let first = true;
    for (const [key, value] of entries) {
      if (this.#ended) return;
      if (!first) this.#emit(', ');
      first = false;
      if (!this.#ended) this.write(key, false);
      if (!this.#ended) this.#emit(': ');
      if (!this.#ended) this.write(value, false);
    }
  }
}

/** Python-like text of a value: bounded in length and depth, never throws. */
export function safeRepr(value: unknown, options?: SafeReprOptions): string {
  const writer = new SafeRepr(options?.maxLength ?? LONGEST);
  try {
    writer.write(value, options?.tuple ?? false);
    return writer.text;
  } catch {
    // A getter or proxy of the application's that throws.
    return `${writer.text}<unrepresentable>`;
  }
}

/** The `argsrepr` header: `(1, 2)`. */
export function argsRepr(args: readonly unknown[], maxLength?: number): string {
  return args.length === 0 ? '()' : safeRepr(args, { tuple: true, ...(maxLength === undefined ? {} : { maxLength }) });
}

/** The `kwargsrepr` header: `{'a': 1}`. */
export function kwargsRepr(kwargs: Readonly<Record<string, unknown>>, maxLength?: number): string {
  for (const _ in kwargs) return safeRepr(kwargs, maxLength === undefined ? undefined : { maxLength });
  return '{}';
}
