import { Buffer } from 'node:buffer';
import { EncodeError } from '../errors.ts';
import type { Message as WireMessage } from '../protocol/message.ts';
import { compress, compressionMime, decompress } from '../serializers/compression.ts';
import type { SerializerRegistry } from '../serializers/registry.ts';

/** How a body becomes bytes. */
export interface Encoding {
  /** Name or MIME type; `raw` for bytes as they are. @default 'json'; texts and bytes go as they are */
  readonly serializer?: string | undefined;
  /** The body is text or bytes of this type already: nothing is serialized. */
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  /** `gzip`, `bzip2`, `brotli`, `lzma`, `zstd` */
  readonly compression?: string | undefined;
}

type Encoded = Pick<WireMessage, 'body' | 'contentType' | 'contentEncoding'>;

/**
 * The body with what describes it, compressed where asked. Source: `Producer._prepare` of kombu.
 * @throws {EncodeError} when the value cannot be written
 */
export async function encodePayload(
  value: unknown,
  how: Encoding,
  serializers: SerializerRegistry,
): Promise<Encoded & { readonly compression: string | undefined }> {
  const encoded = how.contentType ? typed(value, how.contentType, how.contentEncoding) : plain(value, how, serializers);
  if (how.compression === undefined) return { ...encoded, compression: undefined };
  const compression = compressionMime(how.compression);
  return { ...encoded, body: await compress(encoded.body, how.compression), compression };
}

function typed(value: unknown, contentType: string, contentEncoding: string | undefined): Encoded {
  if (typeof value === 'string') {
    return { body: Buffer.from(value, 'utf8'), contentType, contentEncoding: contentEncoding ?? 'utf-8' };
  }
  if (value instanceof Uint8Array) return { body: value, contentType, contentEncoding: contentEncoding ?? 'binary' };
  throw new EncodeError(
    `with contentType "${contentType}" the body is sent as it is: expected text or bytes, got ${nameOf(value)}`,
  );
}

function plain(value: unknown, { serializer }: Encoding, serializers: SerializerRegistry): Encoded {
  if (serializer === 'raw' || serializer === undefined) {
    if (value instanceof Uint8Array) {
      return { body: value, contentType: 'application/data', contentEncoding: 'binary' };
    }
    if (typeof value === 'string') {
      const contentType = serializer === 'raw' ? 'application/data' : 'text/plain';
      return { body: Buffer.from(value, 'utf8'), contentType, contentEncoding: 'utf-8' };
    }
    if (serializer === 'raw') throw new EncodeError(`serializer raw: expected text or bytes, got ${nameOf(value)}`);
  }
  return serializers.encode(value, serializer ?? 'json');
}

function nameOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`;
}

/**
 * What a received body means: at once, except for compressions whose codec answers with promises.
 * @param accept content types; from `acceptedTypes`
 * @throws {DecodeError} for broken data, {ContentDisallowed} for a type that is not accepted
 */
export function decodePayload(message: WireMessage, accept: Accept, serializers: SerializerRegistry): unknown {
  const { contentType, contentEncoding, headers } = message;
  const decode = (body: Uint8Array): unknown =>
    serializers.decode(body, contentType, accept.allows(contentType) ? undefined : accept.types, contentEncoding);
  const compression = headers['compression'];
  if (typeof compression !== 'string') return decode(message.body);
  const body = decompress(message.body, compression);
  return body instanceof Promise ? body.then(decode) : decode(body);
}

/** Which content types a consumer reads. */
export interface Accept {
  readonly types: ReadonlySet<string>;
  allows(contentType: string): boolean;
}

/**
 * Without a list: JSON, and everything that is handed on as it came. With one: what it names, and bytes without a type.
 * Source: `accept` of kombu's Consumer.
 * @throws {ImproperlyConfigured} for a name that no serializer has
 */
export function acceptedTypes(names: readonly string[] | undefined, serializers: SerializerRegistry): Accept {
  const types = serializers.acceptSet(names ?? ['json']);
  if (names !== undefined) return { types, allows: () => false };
  const refused = serializers.acceptSet(serializers.names.filter((name) => name !== 'json'));
  return { types, allows: (contentType) => !refused.has(contentType) };
}
