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

/** Cuts at `limit`, then back to the last space, so that words stay whole. */
function truncate(text: string, limit: number): string {
  if (text.length < limit) return text;
  const cut = text.slice(0, limit);
  const space = cut.lastIndexOf(' ');
  return `${space < 0 ? cut : cut.slice(0, space)}...`;
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

  /** Appends as is. Once the budget is used up only closing brackets follow. */
  #emit(token: string): boolean {
    if (this.#ended) return false;
    if (this.#left <= 0) {
      this.#text += ', ...';
      this.#ended = true;
      return false;
    }
    this.#text += token;
    this.#left -= token.length;
    return true;
  }

  #close(bracket: string): void {
    if (this.#ended || !this.#emit(bracket)) this.#text += bracket;
  }

  #quoted(value: string): void {
    this.#emit(`'${truncate(value, this.#left)}'`);
  }

  #bytes(value: Uint8Array): void {
    const text = utf8TextOrUndefined(value) ?? asBuffer(value).toString('hex');
    this.#emit(`b'${text.length > this.#left ? `${text.slice(0, this.#left)}...` : text}'`);
  }

  write(value: unknown, asTuple: boolean): void {
    if (this.#ended) return;
    if (typeof value === 'string') return this.#quoted(value.replaceAll("'", "\\'"));
    if (value instanceof Uint8Array) return this.#bytes(value);
    if (isContainer(value)) return this.#container(value, asTuple);
    this.#emit(truncate(scalarRepr(value), this.#left));
  }

  #container(value: Container, asTuple: boolean): void {
    if (value instanceof Set && value.size === 0) return void this.#emit('set()');
    if (this.#open.includes(value)) return void this.#emit(`<Recursion on ${typeName(value)} with id=0>`);
    const { open, close } = brackets(value, asTuple);
    if (this.#open.length >= DEEPEST) return void this.#emit(`${open}...${close}`);
    if (!this.#emit(open)) return;
    this.#open.push(value);
    if (Array.isArray(value) || value instanceof Set) this.#items(value as Iterable<unknown>);
    else this.#entries(value instanceof Map ? value : Object.entries(value));
    this.#open.pop();
    this.#close(close);
  }

  #items(values: Iterable<unknown>): void {
    let first = true;
    for (const item of values) {
      if (!first) this.#emit(', ');
      first = false;
      this.write(item, false);
      if (this.#ended) return;
    }
  }

  #entries(entries: Iterable<readonly [unknown, unknown]>): void {
    let first = true;
    for (const [key, value] of entries) {
      if (!first) this.#emit(', ');
      first = false;
      this.write(key, false);
      this.#emit(': ');
      this.write(value, false);
      if (this.#ended) return;
    }
  }
}

/** Python-like text of a value: bounded in length and depth, never throws. */
export function safeRepr(value: unknown, options?: SafeReprOptions): string {
  const writer = new SafeRepr(options?.maxLength ?? LONGEST);
  writer.write(value, options?.tuple ?? false);
  return writer.text;
}

/** The `argsrepr` header: `(1, 2)`. */
export function argsRepr(args: readonly unknown[], maxLength?: number): string {
  return args.length === 0 ? '()' : safeRepr(args, { tuple: true, ...(maxLength === undefined ? {} : { maxLength }) });
}

/** The `kwargsrepr` header: `{'a': 1}`. */
export function kwargsRepr(kwargs: Readonly<Record<string, unknown>>, maxLength?: number): string {
  return safeRepr(kwargs, maxLength === undefined ? undefined : { maxLength });
}
