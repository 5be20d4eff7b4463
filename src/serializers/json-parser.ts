import { DecodeError } from '../errors.ts';
import type { JsonTypes } from './json-types.ts';

const DEEPEST = 1000;
/** Python refuses longer integers; converting them takes time that grows with the square. */
const LONGEST_INTEGER = 4300;
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const WORDS: readonly (readonly [string, unknown])[] = [
  ['null', null],
  ['true', true],
  ['false', false],
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
];

/**
 * Reads Kombu's JSON: type tags, bare NaN and Infinity, integers of any size (`bigint` beyond 2^53).
 * The slow way: `loads` comes here only when the text may hold one of these, or is broken.
 * @throws {DecodeError} saying where
 */
export class JsonParser {
  readonly #text: string;
  readonly #types: JsonTypes;
  #at = 0;
  #depth = 0;

  constructor(text: string, types: JsonTypes) {
    this.#text = text;
    this.#types = types;
  }

  parse(): unknown {
    this.#skipSpace();
    const value = this.#value();
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#expected('the end');
    return value;
  }

  #expected(what: string): DecodeError {
    const got = this.#at < this.#text.length ? JSON.stringify(this.#text.slice(this.#at, this.#at + 12)) : 'the end';
    return new DecodeError(`invalid JSON at character ${this.#at}: expected ${what}, got ${got}`);
  }

  #skipSpace(): void {
    const code = this.#text.charCodeAt(this.#at);
    if (code > 0x20 || Number.isNaN(code)) return;
    SPACE.lastIndex = this.#at;
    SPACE.test(this.#text);
    this.#at = SPACE.lastIndex;
  }

  #value(): unknown {
    switch (this.#text[this.#at]) {
      case '"':
        return this.#string();
      case '{':
        return this.#nested(() => this.#object());
      case '[':
        return this.#nested(() => this.#array());
      default:
        return this.#scalar();
    }
  }

  #nested(read: () => unknown): unknown {
    if (++this.#depth > DEEPEST) throw new DecodeError(`JSON nested deeper than ${DEEPEST} levels`);
    const value = read();
    this.#depth--;
    return value;
  }

  #scalar(): unknown {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match) {
      this.#at += match[0].length;
      return match[1] === undefined && match[2] === undefined ? this.#integer(match[0]) : Number(match[0]);
    }
    for (const [word, value] of WORDS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    throw this.#expected('a value');
  }

  #integer(digits: string): number | bigint {
    const value = Number(digits);
    if (Number.isSafeInteger(value)) return value;
    if (digits.length > LONGEST_INTEGER) throw new DecodeError(`integer of more than ${LONGEST_INTEGER} digits`);
    return BigInt(digits);
  }

  #string(): string {
    const start = this.#at;
    let end = start;
    do {
      end = this.#text.indexOf('"', end + 1);
      if (end < 0) throw this.#expected('a string with its closing quote');
    } while (this.#isEscaped(end, start));
    this.#at = end + 1;
    try {
      return JSON.parse(this.#text.slice(start, end + 1)) as string;
    } catch (cause) {
      throw new DecodeError(`invalid JSON string at character ${start}`, { cause });
    }
  }

  #isEscaped(quote: number, start: number): boolean {
    let at = quote - 1;
    while (at > start && this.#text.charCodeAt(at) === 0x5c) at--;
    return (quote - at) % 2 === 0;
  }

  #array(): unknown[] {
    const values: unknown[] = [];
    this.#at++;
    this.#skipSpace();
    if (this.#text[this.#at] === ']') {
      this.#at++;
      return values;
    }
    for (;;) {
      values.push(this.#value());
      if (this.#endsAfterItem(']', 'a comma or ]')) return values;
    }
  }

  #endsAfterItem(close: string, expected: string): boolean {
    this.#skipSpace();
    const char = this.#text[this.#at];
    if (char !== ',' && char !== close) throw this.#expected(expected);
    this.#at++;
    this.#skipSpace();
    return char === close;
  }

  #object(): unknown {
    const members: Record<string, unknown> = {};
    this.#at++;
    this.#skipSpace();
    if (this.#text[this.#at] === '}') {
      this.#at++;
      return members;
    }
    do {
      if (this.#text[this.#at] !== '"') throw this.#expected('a key in quotes');
      const key = this.#string();
      this.#skipSpace();
      if (this.#text[this.#at] !== ':') throw this.#expected('a colon');
      this.#at++;
      this.#skipSpace();
      setOwn(members, key, this.#value());
    } while (!this.#endsAfterItem('}', 'a comma or }'));
    return this.#unwrap(members);
  }

  #unwrap(members: Record<string, unknown>): unknown {
    if (!Object.hasOwn(members, '__type__') || !Object.hasOwn(members, '__value__')) return members;
    return Object.keys(members).length === 2 ? this.#types.decode(members['__type__'], members['__value__']) : members;
  }
}

/** Assigning to `__proto__` would change the object's prototype instead of adding a key. */
function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    target[key] = value;
  }
}
