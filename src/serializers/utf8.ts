import { Buffer, isUtf8 } from 'node:buffer';
import { DecodeError } from '../errors.ts';

/** The same bytes as a Buffer, not copied. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** @throws {DecodeError} where Python's strict decoder would fail too, instead of putting U+FFFD into data */
export function utf8Text(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new DecodeError('expected UTF-8 text, got bytes that are not');
  return asBuffer(bytes).toString('utf8');
}

/** Undefined when the bytes are not valid UTF-8. */
export function utf8TextOrUndefined(bytes: Uint8Array): string | undefined {
  return isUtf8(bytes) ? asBuffer(bytes).toString('utf8') : undefined;
}
