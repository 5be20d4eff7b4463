import { DecodeError, InvalidTaskError } from '../errors.ts';
import { decompress, isDeferred, MAX_DECOMPRESSED_BYTES } from '../serializers/compression.ts';
import type { SerializerRegistry } from '../serializers/registry.ts';
import { checkHeaders, customHeaders } from './headers.ts';
import type { Message } from './message.ts';
import { argsRepr, kwargsRepr } from './safe-repr.ts';
import type { Embed, TaskBody, TaskHeaders } from './task-message.ts';
import { NO_EMBED } from './v2.ts';

type Dict = Readonly<Record<string, unknown>>;

/** `v2`: a task header says which task. `other`: protocol 1, or no task message; only the body can tell. */
export function classify(message: Message): 'v2' | 'other' {
  return message.headers['task'] === undefined || message.headers['task'] === null ? 'other' : 'v2';
}

/**
 * Headers of a protocol 2 message, completed by defaults. The body is not touched.
 * @throws {InvalidTaskError} when they are none that a worker can work with
 */
export function decodeHeaders(message: Message): TaskHeaders {
  return checkHeaders(message.headers);
}

/**
 * The message with its body decompressed and the `compression` header gone; the same message when it has none.
 * A promise only for codecs of optional packages (bzip2, lzma, zstd).
 * @throws {DecodeError} for an unknown codec, broken data or more than `maxBytes`
 */
export function decompressMessage(
  message: Message,
  maxBytes: number = MAX_DECOMPRESSED_BYTES,
): Message | Promise<Message> {
  const name = message.headers['compression'];
  if (name === undefined || name === null || name === '') return message;
  if (typeof name !== 'string')
    throw new DecodeError(`header "compression": expected a MIME type, got a ${typeof name}`);
  const { compression: _, ...headers } = message.headers;
  const body = decompress(message.body, name, maxBytes);
  return body instanceof Promise
    ? body.then((bytes) => ({ ...message, headers, body: bytes }))
    : { ...message, headers, body };
}

/**
 * The decoded body of any message, decompressed first where that needs no promise.
 * @param maxBytes most bytes after decompression
 */
export function decodeContent(
  message: Message,
  serializers: SerializerRegistry,
  accept?: ReadonlySet<string>,
  maxBytes?: number,
): unknown {
  const compression = message.headers['compression'];
  if (typeof compression === 'string' && isDeferred(compression)) {
    throw new DecodeError(`a body compressed with ${compression} has to go through decompressMessage() first`);
  }
  const plain = decompressMessage(message, maxBytes) as Message;
  return serializers.decode(plain.body, plain.contentType, accept, plain.contentEncoding);
}

function isDict(value: unknown): value is Dict {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function kind(value: unknown): string {
  return value === null
    ? 'null'
    : Array.isArray(value)
      ? 'a list'
      : typeof value === 'object'
        ? 'an object'
        : `a ${typeof value}`;
}

function argumentsOf(args: unknown, kwargs: unknown): Pick<TaskBody, 'args' | 'kwargs'> {
  if (!Array.isArray(args)) throw new InvalidTaskError(`args: expected a list, got ${kind(args)}`);
  if (!isDict(kwargs)) throw new InvalidTaskError(`Task keyword arguments must be a mapping: got ${kind(kwargs)}`);
  return { args, kwargs };
}

function signatures(embed: Dict, name: string): Embed['callbacks'] {
  const value = embed[name] ?? null;
  if (value !== null && !(Array.isArray(value) && value.every(isDict))) {
    throw new InvalidTaskError(`${name}: expected a list of signatures or null, got ${kind(value)}`);
  }
  return value as Embed['callbacks'];
}

function embedOf(embed: unknown): Embed {
  if (embed === null || embed === undefined) return NO_EMBED;
  if (!isDict(embed)) throw new InvalidTaskError(`embed: expected an object or null, got ${kind(embed)}`);
  const chord = embed['chord'] ?? null;
  if (chord !== null && !isDict(chord)) throw new InvalidTaskError(`chord: expected a signature, got ${kind(chord)}`);
  return {
    callbacks: signatures(embed, 'callbacks'),
    errbacks: signatures(embed, 'errbacks'),
    chain: signatures(embed, 'chain'),
    chord: chord as Embed['chord'],
  };
}

/**
 * The body of a protocol 2 message, also of a hybrid (protocol 2 headers, protocol 1 body).
 * Bodies compressed with lzma or zstd have to go through `decompressMessage` before.
 * @param maxBytes most bytes after decompression
 * @throws {ContentDisallowed} when the content type is not accepted
 * @throws {DecodeError} when the body cannot be decompressed or parsed
 * @throws {InvalidTaskError} when it is not `[args, kwargs, embed]`
 */
export function decodeBody(
  message: Message,
  serializers: SerializerRegistry,
  accept: ReadonlySet<string>,
  maxBytes?: number,
): TaskBody {
  const body = decodeContent(message, serializers, accept, maxBytes);
  if (Array.isArray(body) && body.length === 3) {
    return { ...argumentsOf(body[0], body[1]), embed: embedOf(body[2]) };
  }
  if (isDict(body) && 'args' in body) return bodyV1(body);
  const got = Array.isArray(body) ? `a list of ${body.length}` : kind(body);
  throw new InvalidTaskError(`task body: expected [args, kwargs, embed], got ${got}`);
}

function bodyV1(body: Dict): TaskBody {
  return { ...argumentsOf(body['args'] ?? [], body['kwargs'] ?? {}), embed: { ...embedOf(body), chain: null } };
}

/** Keys of a protocol 1 body that are headers in protocol 2. */
const HEADERS_IN_BODY = ['task', 'id', 'group_index', 'retries', 'eta', 'expires', 'timelimit', 'root_id', 'parent_id'];

/**
 * A message of protocol 1, or a hybrid whose headers win over its body.
 * @throws {InvalidTaskError} when it is no task message
 * @throws {DecodeError} when the body cannot be decompressed or parsed (also {ContentDisallowed})
 *
 * Source: `celery.worker.strategy.proto1_to_proto2` and `hybrid_to_proto2`.
 * Differs: the texts of the arguments are bounded as in protocol 2.
 */
export function decodeV1(
  message: Message,
  serializers: SerializerRegistry,
  accept: ReadonlySet<string>,
  maxBytes?: number,
): { headers: TaskHeaders; body: TaskBody } {
  const content = decodeContent(message, serializers, accept, maxBytes);
  if (!isDict(content) || (content['task'] === undefined && message.headers['task'] === undefined)) {
    throw new InvalidTaskError(`expected a task message, got ${kind(content)} without a task name`);
  }
  const body = bodyV1(content);
  const fromBody: Record<string, unknown> = {};
  for (const name of HEADERS_IN_BODY) if (content[name] !== undefined) fromBody[name] = content[name];
  const group = 'taskset' in content ? content['taskset'] : content['group'];
  const headers = checkHeaders({
    ...customHeaders(message.headers),
    ...fromBody,
    group: group ?? null,
    argsrepr: argsRepr(body.args),
    kwargsrepr: kwargsRepr(body.kwargs),
    ...message.headers,
  });
  return { headers, body };
}
