import { EncodeError } from '../errors.ts';
import type { JsonTypes } from './json-types.ts';

/** Python's decoder gives up at about a thousand levels; a value that contains itself ends here too. */
export const DEEPEST = 900;

export interface JsonStyle {
  readonly comma: string;
  readonly colon: string;
  readonly quote: (text: string) => string;
}

/** What `JSON.stringify` writes. */
export const COMPACT: JsonStyle = { comma: ',', colon: ':', quote: (text) => JSON.stringify(text) };

// eslint-disable-next-line no-control-regex -- Python escapes DEL and everything beyond ASCII
const BEYOND_ASCII = /[\u007f-\uffff]/g;

/** Nothing to escape: nearly every key and value. */
const PLAIN_ASCII = /^[ !#-[\]-~]*$/;

/** What Python's `json.dumps` writes: a space after each separator, ASCII only. */
export const PYTHON: JsonStyle = {
  comma: ', ',
  colon: ': ',
  quote: (text) =>
    PLAIN_ASCII.test(text)
      ? `"${text}"`
      : JSON.stringify(text).replace(BEYOND_ASCII, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`),
};

/** Python's `repr` of a float; integers as integers, because JavaScript does not know the difference. */
export function numberText(value: number): string {
  if (Number.isInteger(value)) {
    if (Object.is(value, -0)) return '-0.0';
    // Beyond 2^53 the digits are not all known: written as a float, which is what the value is.
    return Number.isSafeInteger(value) ? String(value) : pythonFloat(value);
  }
  if (Number.isNaN(value)) return 'NaN';
  if (value === Infinity) return 'Infinity';
  if (value === -Infinity) return '-Infinity';
  return pythonFloat(value);
}

/** Shortest digits like JavaScript, but the exponent starts at 1e16 and 1e-5 and has two digits. */
export function pythonFloat(value: number): string {
  const [mantissa = '', exponentText = '0'] = value.toExponential().split('e');
  const exponent = Number(exponentText);
  if (exponent >= -4 && exponent < 16) {
    const text = String(value);
    return text.includes('.') ? text : `${text}.0`;
  }
  return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

function pathText(path: readonly (string | number)[]): string {
  const steps = path
    .slice(0, 12)
    .map((step) =>
      typeof step === 'number' ? `[${step}]` : /^[\w$]+$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`,
    );
  return `$${steps.join('')}${path.length > steps.length ? '…' : ''}`;
}

function describe(value: unknown): string {
  if (typeof value !== 'object' || value === null)
    return typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`;
  const name = (value as { constructor?: { name?: string } }).constructor?.name;
  return name ? `an object of class ${name}` : 'an object without a plain prototype';
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  // The prototype of another realm's Object.prototype is null as well.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/**
 * Writes any value that Kombu's JSON can hold. The slow way: `dumps` comes here only when something is special.
 * @throws {EncodeError} naming the path of a value that cannot be written
 */
export class JsonWriter {
  readonly #style: JsonStyle;
  readonly #types: JsonTypes;
  readonly #path: (string | number)[] = [];

  constructor(style: JsonStyle, types: JsonTypes) {
    this.#style = style;
    this.#types = types;
  }

  write(value: unknown): string {
    switch (typeof value) {
      case 'string':
        return this.#style.quote(value);
      case 'number':
        return numberText(value);
      case 'boolean':
        return value ? 'true' : 'false';
      case 'bigint':
        return value.toString();
      case 'object':
        return value === null ? 'null' : this.#object(value);
      case 'undefined':
        throw this.#refuse('undefined has no equivalent in Python: use null, or leave it out');
      default:
        throw this.#refuse(`${describe(value)} cannot be sent`);
    }
  }

  #refuse(reason: string, cause?: unknown): EncodeError {
    return new EncodeError(`cannot serialize ${pathText(this.#path)}: ${reason}`, { cause });
  }

  #object(value: object): string {
    if (this.#path.length >= DEEPEST) throw this.#refuse(`nested deeper than ${DEEPEST} levels, or contains itself`);
    if (Array.isArray(value)) return this.#array(value);
    const tagged = this.#tagged(value);
    if (tagged !== undefined) return tagged;
    const toJSON = (value as { toJSON?: unknown }).toJSON;
    if (typeof toJSON === 'function') return this.#replaced(value, toJSON as () => unknown);
    if (!isPlainObject(value)) {
      throw this.#refuse(`${describe(value)} would lose its class: make it a plain object, or give it toJSON()`);
    }
    return this.#members(value as Readonly<Record<string, unknown>>);
  }

  #tagged(value: object): string | undefined {
    try {
      const tagged = this.#types.encode(value);
      if (tagged === undefined) return undefined;
      const { colon, comma, quote } = this.#style;
      return `{"__type__"${colon}${quote(tagged.type)}${comma}"__value__"${colon}${this.#child('__value__', tagged.value)}}`;
    } catch (cause) {
      if (cause instanceof EncodeError && cause.message.startsWith('cannot serialize ')) throw cause;
      throw this.#refuse((cause as Error).message, cause);
    }
  }

  #replaced(value: object, toJSON: () => unknown): string {
    const replacement: unknown = toJSON.call(value);
    return replacement === value ? this.#members(value as Readonly<Record<string, unknown>>) : this.write(replacement);
  }

  #child(step: string | number, value: unknown): string {
    this.#path.push(step);
    const text = this.write(value);
    this.#path.pop();
    return text;
  }

  #array(values: readonly unknown[]): string {
    let text = '[';
    for (let i = 0; i < values.length; i++) {
      if (i > 0) text += this.#style.comma;
      text += this.#child(i, values[i]);
    }
    return `${text}]`;
  }

  #members(value: Readonly<Record<string, unknown>>): string {
    const { comma, colon, quote } = this.#style;
    const keys = Object.keys(value);
    if (keys.length === 2 && keys.includes('__type__') && keys.includes('__value__')) {
      throw this.#refuse('an object of just "__type__" and "__value__" would be read as another type');
    }
    let text = '{';
    for (const key of keys) {
      if (text.length > 1) text += comma;
      text += quote(key) + colon + this.#child(key, value[key]);
    }
    return `${text}}`;
  }
}
