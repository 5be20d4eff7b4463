import { JsonParser } from './json-parser.ts';
import { JsonTypes } from './json-types.ts';
import { COMPACT, DEEPEST, JsonWriter, PYTHON } from './json-writer.ts';
import { utf8Text } from './utf8.ts';

/*
 * Kombu's JSON (spec: messages.md 11). Both directions first ask cheaply whether anything is special; if not, the
 * runtime's own JSON does the work.
 */

const BUILT_IN: JsonTypes = new JsonTypes();
/** An integer of fewer digits is exact as a JavaScript number. */
const LONG = 16;
const LONG_INTEGER = /(?<![\d.])\d{16}/;

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** Whether sixteen digits stand in a row. One of them stands at a multiple of sixteen: the rest need not be looked at. */
function hasLongDigits(text: string): boolean {
  for (let at = LONG - 1; at < text.length; at += LONG) {
    if (!isDigit(text.charCodeAt(at))) continue;
    let from = at;
    let to = at + 1;
    while (from > 0 && isDigit(text.charCodeAt(from - 1))) from--;
    while (to < text.length && to - from < LONG && isDigit(text.charCodeAt(to))) to++;
    if (to - from >= LONG) return true;
  }
  return false;
}

/** Whether `JSON.stringify` writes the value just as Kombu would read it. */
function isOrdinary(value: unknown, levels: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isInteger(value)
        ? Number.isSafeInteger(value) && (value !== 0 || 1 / value > 0)
        : Number.isFinite(value);
    case 'object':
      return value === null || (levels > 0 && isOrdinaryObject(value, levels - 1));
    default:
      return false;
  }
}

function isOrdinaryObject(value: object, levels: number): boolean {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isOrdinary(value[i], levels)) return false;
    return true;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  const members = value as Readonly<Record<string, unknown>>;
  for (const key in members) if (key === '__type__' || !isOrdinary(members[key], levels)) return false;
  return true;
}

/**
 * JSON text as Kombu reads it, without spaces, non-ASCII characters as they are.
 * `Date`, bytes, `bigint` and the classes of `types.ts` keep their type; NaN and Infinity are written bare, as
 * Python does; integral numbers beyond 2^53 are written as the floats they are.
 * @throws {EncodeError} with the path (`$` is the value itself) of undefined, functions, symbols, Map, Set, instances
 *   of classes without `toJSON()`, and whatever contains itself
 */
export function dumps(value: unknown, types: JsonTypes = BUILT_IN): string {
  return isOrdinary(value, DEEPEST) ? JSON.stringify(value) : new JsonWriter(COMPACT, types).write(value);
}

/** The same value in the bytes that Python's `json.dumps` gives: `{"a": [1, 2]}`, ASCII only. */
export function pythonJson(value: unknown, types: JsonTypes = BUILT_IN): string {
  return new JsonWriter(PYTHON, types).write(value);
}

/**
 * Reads JSON text as Kombu does: type tags are unwrapped, integers beyond 2^53 come as `bigint`.
 * @throws {DecodeError} for broken text, broken UTF-8, unknown type tags
 */
export function loads(text: string | Uint8Array, types: JsonTypes = BUILT_IN): unknown {
  const source = typeof text === 'string' ? text : utf8Text(text);
  if (!source.includes('__type__') && !(hasLongDigits(source) && LONG_INTEGER.test(source))) {
    try {
      return JSON.parse(source) as unknown;
    } catch {
      // NaN, Infinity, or broken: the parser below knows, and says where.
    }
  }
  return new JsonParser(source, types).parse();
}
