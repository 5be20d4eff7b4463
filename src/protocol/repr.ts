import { pythonFloat } from '../serializers/json-writer.ts';
import { WIRE_TYPE, isTypedText } from '../serializers/types.ts';
import { dateToWire } from '../serializers/wire-date.ts';
import { isoParts } from './time.ts';

/*
 * Text as Python's `repr()` gives it. Never throws: it describes what is in the way instead.
 */

/** `str()` of numbers as Python has it: `1`, `1.5`, `1e+22`, `nan`, `inf`. */
export function numberRepr(value: number): string {
  if (Number.isSafeInteger(value)) return Object.is(value, -0) ? '-0.0' : String(value);
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return pythonFloat(value);
}

/** What Python does not count as printable, and the backslash. */
const UNPRINTABLE = /(?! )[\\\p{C}\p{Z}]/gu;
const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escapeChar(char: string): string {
  const short = SHORT_ESCAPES[char];
  if (short !== undefined) return short;
  const code = char.codePointAt(0) as number;
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

/** A string as `repr()` writes it: single quotes unless the text has some and no double ones. */
export function stringRepr(text: string): string {
  const escaped = text.replace(UNPRINTABLE, escapeChar);
  if (!text.includes("'")) return `'${escaped}'`;
  return text.includes('"') ? `'${escaped.replaceAll("'", "\\'")}'` : `"${escaped}"`;
}

function offsetRepr(seconds: number): string {
  if (seconds === 0) return 'datetime.timezone.utc';
  const days = seconds < 0 ? 'days=-1, ' : '';
  return `datetime.timezone(datetime.timedelta(${days}seconds=${seconds < 0 ? seconds + 86_400 : seconds}))`;
}

function timeFields(hour: number, minute: number, second: number, micros: number): string {
  const fields = [hour, minute];
  if (second > 0 || micros > 0) fields.push(second);
  if (micros > 0) fields.push(micros);
  return fields.join(', ');
}

function dateRepr(date: Date): string {
  if (Number.isNaN(date.getTime())) return '<invalid Date>';
  const parts = isoParts(dateToWire(date));
  if (!parts) return '<Date>';
  const wall = new Date(Math.floor(parts.ms) + (parts.offset ?? 0) * 1000);
  const day = `${wall.getUTCFullYear()}, ${wall.getUTCMonth() + 1}, ${wall.getUTCDate()}`;
  const time = timeFields(wall.getUTCHours(), wall.getUTCMinutes(), wall.getUTCSeconds(), parts.micros);
  return `datetime.datetime(${day}, ${time}${parts.offset === null ? '' : `, tzinfo=${offsetRepr(parts.offset)}`})`;
}

function timeRepr(text: string): string {
  const parts = isoParts(`2000-01-01T${text}`);
  if (!parts) return text;
  const wall = new Date(Math.floor(parts.ms) + (parts.offset ?? 0) * 1000);
  const fields = timeFields(wall.getUTCHours(), wall.getUTCMinutes(), wall.getUTCSeconds(), parts.micros);
  return `datetime.time(${fields}${parts.offset === null ? '' : `, tzinfo=${offsetRepr(parts.offset)}`})`;
}

function wireValueRepr(type: string, text: string): string {
  switch (type) {
    case 'uuid':
      return `UUID('${text}')`;
    case 'decimal':
      return `Decimal('${text}')`;
    case 'date':
      return `datetime.date(${text.split('-').map(Number).join(', ')})`;
    case 'time':
      return timeRepr(text);
    default:
      return `<${type}>`;
  }
}

function objectRepr(value: object): string {
  try {
    if (value instanceof Date) return dateRepr(value);
    if (isTypedText(value)) return wireValueRepr(value[WIRE_TYPE], value.text);
    if (value instanceof Error) return `${value.name}(${stringRepr(value.message)})`;
    return `<${value.constructor?.name || 'object'} object>`;
  } catch {
    return '<object>';
  }
}

/** `repr()` of everything but text, bytes and containers. */
export function scalarRepr(value: unknown): string {
  switch (typeof value) {
    case 'number':
      return numberRepr(value);
    case 'bigint':
      return value.toString();
    case 'boolean':
      return value ? 'True' : 'False';
    case 'undefined':
      return 'None';
    case 'function':
      return `<function ${value.name || '<lambda>'}>`;
    case 'symbol':
      return `<${String(value)}>`;
    case 'string':
      return stringRepr(value);
    default:
      return value === null ? 'None' : objectRepr(value as object);
  }
}

const DEEPEST = 8;
const MOST_VALUES = 10_000;

class Repr {
  #left = MOST_VALUES;
  readonly #open: object[] = [];

  of(value: unknown): string {
    if (this.#left-- <= 0) return '...';
    if (value instanceof Uint8Array) return bytesRepr(value);
    if (typeof value !== 'object' || value === null) return scalarRepr(value);
    const list = Array.isArray(value);
    const prototype: unknown = list ? null : Object.getPrototypeOf(value);
    if (!list && prototype !== null && Object.getPrototypeOf(prototype) !== null) return scalarRepr(value);
    if (this.#open.length >= DEEPEST || this.#open.includes(value)) return list ? '[...]' : '{...}';
    this.#open.push(value);
    const text = list ? `[${this.#items(value)}]` : `{${this.#members(value)}}`;
    this.#open.pop();
    return text;
  }

  #items(values: readonly unknown[]): string {
    const texts: string[] = [];
    for (let i = 0; i < values.length && this.#left > 0; i++) texts.push(this.of(values[i]));
    if (texts.length < values.length) texts.push('...');
    return texts.join(', ');
  }

  #members(value: object): string {
    return Object.entries(value)
      .slice(0, Math.max(0, this.#left))
      .map(([key, item]) => `${stringRepr(key)}: ${this.of(item)}`)
      .join(', ');
  }
}

/**
 * `repr()` of any value: in full, but for values nested deeper than eight levels or containing themselves, and
 * what comes after ten thousand values. Never throws.
 */
export function pyRepr(value: unknown): string {
  try {
    return new Repr().of(value);
  } catch {
    return '<unrepresentable>';
  }
}

function bytesRepr(value: Uint8Array): string {
  let text = '';
  for (const byte of value) {
    if (byte >= 0x7f || (byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13)) {
      text += `\\x${byte.toString(16).padStart(2, '0')}`;
    } else text += SHORT_ESCAPES[String.fromCharCode(byte)] ?? String.fromCharCode(byte);
  }
  if (!text.includes("'")) return `b'${text}'`;
  return text.includes('"') ? `b'${text.replaceAll("'", "\\'")}'` : `b"${text}"`;
}
