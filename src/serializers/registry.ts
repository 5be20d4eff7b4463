import { Buffer } from 'node:buffer';
import { CeleryError, ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured } from '../errors.ts';
import { dumps, loads } from './json.ts';
import { JsonTypes, type JsonType } from './json-types.ts';
import { msgpackSerializer } from './msgpack.ts';
import { asBuffer } from './utf8.ts';
import { yamlSerializer } from './yaml.ts';

/** A format of message bodies, known by name in settings and by MIME type on the wire. */
export interface Serializer {
  readonly name: string;
  readonly contentType: string;
  /** `utf-8` for text, `binary` for bytes. */
  readonly contentEncoding: string;
  encode(value: unknown): string | Uint8Array;
  decode(body: Uint8Array): unknown;
}

/** A serialized body with the two properties that describe it. */
export interface EncodedBody {
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly contentEncoding: string;
}

/** Needs no permission: these are never deserialized, only passed through. */
const TRUSTED: ReadonlySet<string> = new Set(['application/data', 'application/text']);
const NO_TYPE = 'application/data';

/**
 * The serializers of one app.
 * Source: `kombu.serialization.SerializerRegistry`.
 */
export class SerializerRegistry {
  readonly #byName = new Map<string, Serializer>();
  readonly #byType = new Map<string, Serializer>();
  readonly #jsonTypes: JsonTypes | undefined;

  /** @param jsonTypes where `registerType` puts its types; shared with the `json` serializer */
  constructor(jsonTypes?: JsonTypes) {
    this.#jsonTypes = jsonTypes;
  }

  /** Adds a serializer; one of the same name or content type is replaced. */
  register(serializer: Serializer): void {
    this.#byName.set(serializer.name, serializer);
    this.#byType.set(serializer.contentType, serializer);
  }

  /** Adds a type to JSON, as Kombu's `register_type` does on the Python side. */
  registerType(type: JsonType): void {
    if (!this.#jsonTypes) throw new ImproperlyConfigured('these serializers have no JSON to add types to');
    this.#jsonTypes.register(type);
  }

  /** The types of the `json` serializer, those that were registered included. */
  get jsonTypes(): JsonTypes | undefined {
    return this.#jsonTypes;
  }

  /** Names that settings may use. */
  get names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  /**
   * @param name serializer name, or its MIME type
   * @throws {ImproperlyConfigured} when there is none of that name
   * @throws {EncodeError} when the value cannot be written
   */
  encode(value: unknown, name: string): EncodedBody {
    const serializer = this.#byName.get(name) ?? this.#byType.get(name);
    if (!serializer) throw this.#unknown(name);
    const { contentType, contentEncoding } = serializer;
    try {
      const body = serializer.encode(value);
      return { body: typeof body === 'string' ? Buffer.from(body, 'utf8') : body, contentType, contentEncoding };
    } catch (cause) {
      if (CeleryError.is(cause)) throw cause;
      throw new EncodeError(`cannot serialize as ${name}: ${(cause as Error).message}`, { cause });
    }
  }

  /**
   * A body without a decoder for its content type comes back as text, or as bytes when its encoding is `binary`.
   * @param accept from `acceptSet`; without it everything is accepted
   * @throws {ContentDisallowed} before anything is decoded
   * @throws {DecodeError} when the body is not what its content type says
   */
  decode(body: Uint8Array, contentType: string, accept?: ReadonlySet<string>, contentEncoding = 'utf-8'): unknown {
    const type = contentType || NO_TYPE;
    if (accept && !accept.has(type) && !TRUSTED.has(type)) throw this.#disallowed(type);
    const serializer = this.#byType.get(type);
    if (!serializer) return passThrough(body, contentEncoding);
    try {
      return serializer.decode(body);
    } catch (cause) {
      if (cause instanceof DecodeError) throw cause;
      throw new DecodeError(`cannot deserialize ${type}: ${(cause as Error).message}`, { cause });
    }
  }

  /**
   * MIME types for an accept list of names and MIME types.
   * @throws {ImproperlyConfigured} for a name that no serializer has
   */
  acceptSet(names: Iterable<string>): ReadonlySet<string> {
    const types = new Set<string>();
    for (const name of names) {
      const type = name.includes('/') ? name : this.#byName.get(name)?.contentType;
      if (type === undefined) throw this.#unknown(name);
      types.add(type);
    }
    return types;
  }

  #unknown(name: string): ImproperlyConfigured {
    return new ImproperlyConfigured(`no serializer "${name}": expected one of ${this.names.join(', ')}`);
  }

  #disallowed(type: string): ContentDisallowed {
    const name = this.#byType.get(type)?.name ?? type;
    return new ContentDisallowed(`Refusing to deserialize untrusted content of type ${name} (${type})`);
  }
}

function passThrough(body: Uint8Array, contentEncoding: string): unknown {
  const encoding = contentEncoding.toLowerCase();
  return encoding === 'binary' || encoding === 'ascii-8bit' ? body : asBuffer(body).toString('utf8');
}

/** The default format: Kombu's JSON. */
export function jsonSerializer(types?: JsonTypes): Serializer {
  return {
    name: 'json',
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    encode: (value) => dumps(value, types),
    decode: (body) => loads(body, types),
  };
}

/** JSON, and those whose packages are loaded when they are first used: yaml, msgpack. */
export function createSerializers(): SerializerRegistry {
  const types = new JsonTypes();
  const registry = new SerializerRegistry(types);
  registry.register(jsonSerializer(types));
  registry.register(yamlSerializer());
  registry.register(msgpackSerializer());
  return registry;
}
