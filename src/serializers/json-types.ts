import { Buffer } from 'node:buffer';
import { DecodeError, ImproperlyConfigured } from '../errors.ts';
import { Decimal, PlainDate, PlainTime, Uuid, WIRE_TYPE, isTypedText } from './types.ts';
import { asBuffer, utf8TextOrUndefined } from './utf8.ts';
import { dateFromWire, dateToWire } from './wire-date.ts';

/** A type of the application's own inside JSON, known under the same name on the Python side. */
export interface JsonType {
  /** The `__type__` on the wire. */
  readonly name: string;
  /** Asked about instances of classes only, never about plain objects and arrays. */
  matches(value: object): boolean;
  /** Returns what JSON can hold. */
  encode(value: object): unknown;
  decode(value: unknown): unknown;
}

/** What a tagged value becomes: `{"__type__": name, "__value__": value}`. */
export interface Tagged {
  readonly type: string;
  readonly value: unknown;
}

function textOf(value: unknown, type: string): string {
  if (typeof value === 'string') return value;
  throw new DecodeError(`expected text in the "${type}" value, got ${value === null ? 'null' : typeof value}`);
}

function decodeUuid(value: unknown): Uuid {
  const hex = typeof value === 'object' && value !== null ? (value as { hex?: unknown }).hex : value;
  // Python's constructor also takes "{...}" and "urn:uuid:..." around the digits.
  return new Uuid(textOf(hex, 'uuid').replace(/^urn:uuid:|^\{|\}$/g, ''));
}

function decodeBase64(value: unknown): Uint8Array {
  return new Uint8Array(Buffer.from(textOf(value, 'base64'), 'base64'));
}

const DECODERS: ReadonlyMap<string, (value: unknown) => unknown> = new Map<string, (value: unknown) => unknown>([
  ['datetime', dateFromWire],
  // Python's encoder of a date writes the date alone; a datetime's text is cut to it, as Python's reader does.
  ['date', (value) => new PlainDate(textOf(value, 'date').slice(0, 10))],
  ['time', (value) => new PlainTime(textOf(value, 'time'))],
  [
    'decimal',
    (value) =>
      new Decimal(typeof value === 'number' || typeof value === 'bigint' ? String(value) : textOf(value, 'decimal')),
  ],
  ['uuid', decodeUuid],
  ['bytes', (value) => new TextEncoder().encode(textOf(value, 'bytes'))],
  ['base64', decodeBase64],
]);

/**
 * Kombu's type tags, and those that an application adds.
 * Source: `kombu.utils.json`.
 */
export class JsonTypes {
  readonly #custom: Map<string, JsonType>;

  constructor() {
    this.#custom = new Map();
  }

  /** @throws {ImproperlyConfigured} when the name is one of Kombu's own */
  register(type: JsonType): void {
    if (DECODERS.has(type.name)) {
      throw new ImproperlyConfigured(`the JSON type "${type.name}" is built in: choose another name`);
    }
    this.#custom.set(type.name, type);
  }

  /** Undefined when no tag fits the object. */
  encode(value: object): Tagged | undefined {
    for (const type of this.#custom.values()) {
      if (type.matches(value)) return { type: type.name, value: type.encode(value) };
    }
    if (value instanceof Date) return { type: 'datetime', value: dateToWire(value) };
    if (value instanceof Uint8Array) {
      const text = utf8TextOrUndefined(value);
      return text === undefined
        ? { type: 'base64', value: asBuffer(value).toString('base64') }
        : { type: 'bytes', value: text };
    }
    if (isTypedText(value)) {
      const type = value[WIRE_TYPE];
      return { type, value: type === 'uuid' ? { hex: value.text.replaceAll('-', '') } : value.text };
    }
    return undefined;
  }

  /** @throws {DecodeError} for an unknown type, as Kombu does, and for a value that the type cannot have */
  decode(type: unknown, value: unknown): unknown {
    const decode =
      typeof type === 'string'
        ? (DECODERS.get(type) ?? ((inner: unknown) => this.#customType(type).decode(inner)))
        : undefined;
    if (decode === undefined) throw new DecodeError(`expected the name of a type in "__type__", got ${typeof type}`);
    try {
      return decode(value);
    } catch (cause) {
      if (cause instanceof DecodeError) throw cause;
      throw new DecodeError(`cannot read a "${String(type)}": ${(cause as Error).message}`, { cause });
    }
  }

  #customType(name: string): JsonType {
    const type = this.#custom.get(name);
    if (!type) throw new DecodeError(`unsupported "__type__" ${JSON.stringify(name.slice(0, 64))}: register it first`);
    return type;
  }
}
