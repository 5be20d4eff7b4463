/*
 * Serializers, compression and the value types of the wire. Public as `celeriac/serializers`.
 */

export { compress, compressionMime, decompress, isDeferred, MAX_DECOMPRESSED_BYTES } from './compression.ts';
export { dumps, loads, pythonJson } from './json.ts';
export { JsonTypes, type JsonType, type Tagged } from './json-types.ts';
export {
  createSerializers,
  jsonSerializer,
  SerializerRegistry,
  type EncodedBody,
  type Serializer,
} from './registry.ts';
export { Decimal, PlainDate, PlainTime, Uuid } from './types.ts';
