import type { Serializer } from './registry.ts';
import { requireOptional } from './packages.ts';
import { plainCopy } from './plain.ts';
import { asBuffer } from './utf8.ts';

/*
 * MessagePack by the package @msgpack/msgpack, as Python's msgpack writes it: texts as str, bytes as bin, no extension
 * types. Integers beyond 2^53 are bigints on both ways, up to 64 bits.
 */

type Msgpack = typeof import('@msgpack/msgpack');

const LARGEST_UNSIGNED = 2n ** 64n - 1n;
const LEAST_SIGNED = -(2n ** 63n);

/** What the package takes: 64-bit integers as bigint, else it would write them as floats. */
function special(value: object | number | bigint): unknown {
  if (typeof value === 'bigint') {
    if (value >= LEAST_SIGNED && value <= LARGEST_UNSIGNED) return value;
    throw new RangeError(`MessagePack has integers of at most 64 bits, got ${value}`);
  }
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) && (value > 0xffffffff || value < -0x80000000) ? BigInt(value) : undefined;
  }
  return value instanceof Uint8Array ? value : undefined;
}

/** Bigints that a number can hold become one; bytes are copied out of the message. */
function received(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (value instanceof Uint8Array) return new Uint8Array(asBuffer(value));
  if (Array.isArray(value)) return value.map(received);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, received(one)]));
}

/** `msgpack`; accepted only where `acceptContent` lists it. */
export function msgpackSerializer(): Serializer {
  const load = (): Msgpack => requireOptional('@msgpack/msgpack', 'the serializer msgpack') as Msgpack;
  return {
    name: 'msgpack',
    contentType: 'application/x-msgpack',
    contentEncoding: 'binary',
    encode: (value) => load().encode(plainCopy(value, 'msgpack', special), { useBigInt64: true, maxDepth: 1000 }),
    decode: (body) => received(load().decode(body, { useBigInt64: true })),
  };
}
