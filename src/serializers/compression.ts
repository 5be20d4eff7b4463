import { brotliCompressSync, brotliDecompressSync, deflateSync, inflateSync } from 'node:zlib';
import { CeleryError, DecodeError, ImproperlyConfigured } from '../errors.ts';
import { bunzip2 } from './bzip2-decode.ts';
import { bzip2 } from './bzip2-encode.ts';
import { xzCompress, xzDecompress } from './xz.ts';
import { HAS_NATIVE_ZSTD, zstdCompress, zstdDecompress } from './zstd.ts';

/** Most bytes that a message may have after decompression, where the settings say nothing else. */
export const MAX_DECOMPRESSED_BYTES = 128 * 1024 * 1024;

/** One codec; `decompress` must stop at `maxBytes`. */
interface Codec {
  readonly mime: string;
  /** Answers with promises, because its package is loaded on first use. */
  readonly deferred?: boolean;
  compress(body: Uint8Array): Uint8Array | Promise<Uint8Array>;
  decompress(body: Uint8Array, maxBytes: number): Uint8Array | Promise<Uint8Array>;
}

/** What Celery calls gzip is a zlib stream (RFC 1950), without gzip's framing. */
const zlib: Codec = {
  mime: 'application/x-gzip',
  compress: (body) => deflateSync(body),
  decompress: (body, maxBytes) => inflateSync(body, { maxOutputLength: maxBytes }),
};

const brotli: Codec = {
  mime: 'application/x-brotli',
  compress: (body) => brotliCompressSync(body),
  decompress: (body, maxBytes) => brotliDecompressSync(body, { maxOutputLength: maxBytes }),
};

const bz2: Codec = { mime: 'application/x-bz2', compress: bzip2, decompress: bunzip2 };

/** By an optional package: answers with a promise. */
const lzma: Codec = { mime: 'application/x-lzma', deferred: true, compress: xzCompress, decompress: xzDecompress };

/** By an optional package where the runtime does not know it: then answers with a promise. */
const zstd: Codec = {
  mime: 'application/zstd',
  deferred: !HAS_NATIVE_ZSTD,
  compress: zstdCompress,
  decompress: zstdDecompress,
};

const CODECS: ReadonlyMap<string, Codec> = new Map<string, Codec>([
  ['gzip', zlib],
  ['zlib', zlib],
  [zlib.mime, zlib],
  ['bzip2', bz2],
  ['bzip', bz2],
  [bz2.mime, bz2],
  ['brotli', brotli],
  [brotli.mime, brotli],
  ['lzma', lzma],
  ['xz', lzma],
  [lzma.mime, lzma],
  ['zstd', zstd],
  ['zstandard', zstd],
  [zstd.mime, zstd],
]);

/**
 * The value of the `compression` header for a codec's name.
 * @throws {ImproperlyConfigured} when there is no such codec
 */
export function compressionMime(name: string): string {
  const found = CODECS.get(name);
  if (!found) throw unknown(name);
  return found.mime;
}

/** Whether a codec answers with promises here: lzma, and zstd before Node 22.15. */
export function isDeferred(name: string): boolean {
  return CODECS.get(name)?.deferred === true;
}

/**
 * Compresses a serialized body. At once for gzip, bzip2 and brotli; with a promise for lzma and, before Node 22.15, zstd.
 * @param name alias or MIME type
 */
export function compress(body: Uint8Array, name: string): Uint8Array | Promise<Uint8Array> {
  const found = CODECS.get(name);
  if (!found) throw unknown(name);
  return found.compress(body);
}

/**
 * Decompresses a body, never to more than `maxBytes`.
 * @param name alias or MIME type, as the `compression` header has it
 * @throws {DecodeError} for an unknown codec, broken data, or more than `maxBytes` (code `ERR_TOO_LARGE`)
 */
export function decompress(
  body: Uint8Array,
  name: string,
  maxBytes: number = MAX_DECOMPRESSED_BYTES,
): Uint8Array | Promise<Uint8Array> {
  const found = CODECS.get(name);
  if (!found) throw new DecodeError(`unknown compression ${JSON.stringify(name.slice(0, 64))}`);
  const failed = (cause: unknown): never => {
    throw decompressionError(name, maxBytes, cause);
  };
  try {
    const result = found.decompress(body, maxBytes);
    return result instanceof Promise ? result.catch(failed) : result;
  } catch (cause) {
    return failed(cause);
  }
}

function decompressionError(name: string, maxBytes: number, cause: unknown): Error {
  if (CeleryError.is(cause)) return cause;
  if ((cause as { code?: unknown } | null)?.code === 'ERR_BUFFER_TOO_LARGE') {
    return new DecodeError(`a body compressed with ${name} is larger than ${maxBytes} bytes`, {
      cause,
      code: 'ERR_TOO_LARGE',
    });
  }
  return new DecodeError(`cannot decompress ${name}: ${(cause as Error).message}`, { cause });
}

function unknown(name: string): ImproperlyConfigured {
  return new ImproperlyConfigured(`no compression "${name}": expected one of ${[...CODECS.keys()].join(', ')}`);
}
