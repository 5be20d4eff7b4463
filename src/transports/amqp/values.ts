import { EncodeError } from '../../errors.ts';

/*
 * Values of header and argument tables. The type tag decides whether Python can read them: py-amqp up to 5.3.1 takes
 * 16-bit integers for text and stops, and reads small and negative 64-bit ones wrong. So integers travel as 32 bits,
 * or as 64 bits when they are positive.
 */

interface Typed {
  readonly '!': string;
  readonly value: unknown;
}

const INT32 = 2 ** 31;
const INT64 = 2n ** 63n;
const small: readonly Typed[] = Array.from({ length: 256 }, (_, value) => ({ '!': 'int', value }));

/** What the client library is told to write. @throws {EncodeError} naming the path of a value that AMQP has not */
export function toWire(value: unknown, path = 'headers'): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return value;
    case 'number':
      return number(value);
    case 'bigint':
      if (value >= -INT32 && value < INT32) return number(Number(value));
      if (value < INT64 && value >= -INT64) return { '!': 'long', value };
      throw new EncodeError(`${path}: ${value} does not fit into 64 bits`);
    case 'object':
      return value === null ? null : object(value, path);
    default:
      throw new EncodeError(`${path}: a ${typeof value} cannot be a header`);
  }
}

/** A table, key by key. */
export function toTable(table: Readonly<Record<string, unknown>>, path = 'headers'): Record<string, unknown> {
  const wire: Record<string, unknown> = {};
  for (const key in table) {
    const value = table[key];
    wire[key] = typeof value === 'string' ? value : toWire(value, `${path}.${key}`);
  }
  return wire;
}

function number(value: number): unknown {
  if (!Number.isInteger(value) || Object.is(value, -0)) return { '!': 'double', value };
  if (value >= 0 && value < 256) return small[value];
  if (value >= -INT32 && value < INT32) return { '!': 'int', value };
  return { '!': value > 0 && value < 2 ** 63 ? 'long' : 'double', value };
}

function object(value: object, path: string): unknown {
  if (Array.isArray(value)) return value.map((one, index) => toWire(one, `${path}[${index}]`));
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof Date) return { '!': 'timestamp', value: Math.floor(value.getTime() / 1000) };
  return toTable(value as Record<string, unknown>, path);
}

/** What the client library has read, without its wrappers. Changes the table that it is given. */
export function fromWire(table: Record<string, unknown>): Record<string, unknown> {
  for (const key in table) {
    const value = table[key];
    if (typeof value === 'object' && value !== null) table[key] = plain(value);
  }
  return table;
}

function plain(value: object): unknown {
  if (Array.isArray(value)) {
    return value.map((one: unknown) => (typeof one === 'object' && one !== null ? plain(one) : one));
  }
  if (value instanceof Uint8Array) return value;
  const { '!': type, value: inner } = value as Partial<Typed>;
  if (type === 'timestamp') return new Date(Number(inner) * 1000);
  if (type === 'decimal') {
    const { digits, places } = inner as { readonly digits: number; readonly places: number };
    return digits / 10 ** places;
  }
  return fromWire(value as Record<string, unknown>);
}
