import type { ExtendedFields, ResultRecord } from '../backends/backend.ts';
import { DecodeError } from '../errors.ts';
import { loads, pythonJson } from '../serializers/json.ts';
import type { JsonTypes } from '../serializers/json-types.ts';
import type { SerializerRegistry } from '../serializers/registry.ts';
import { asBuffer, utf8Text } from '../serializers/utf8.ts';

/*
 * Result handles as Celery serializes them (spec: results.md 4).
 * task `[[id, parent], null]`, group `[[id, parent], [member, ...]]`; the short form `[id, null]` has no parent.
 */

export type ResultTuple = readonly [head: ResultHead, members: readonly ResultTuple[] | null];
export type ResultHead = readonly [id: string, parent: ResultTuple | null] | string;

type Dict = Readonly<Record<string, unknown>>;

/** The stored object of a result, keys as Python has them and in its order (spec: results.md 1). */
export function resultMeta(record: ResultRecord): Record<string, unknown> {
  const meta: Record<string, unknown> = {
    status: record.status,
    result: record.result,
    traceback: record.traceback,
    children: record.children,
    date_done: record.dateDone,
  };
  if (record.groupId !== undefined && record.groupId !== null) meta['group_id'] = record.groupId;
  if (record.parentId !== undefined && record.parentId !== null) meta['parent_id'] = record.parentId;
  if (record.extended !== undefined) addExtended(meta, record.extended);
  meta['task_id'] = record.taskId;
  return meta;
}

function addExtended(meta: Record<string, unknown>, { stamps, ...fields }: ExtendedFields): void {
  const { name, args, kwargs, worker, retries, queue } = fields;
  Object.assign(meta, { name, args, kwargs, worker, retries, queue });
  if (stamps === undefined || Object.keys(stamps).length === 0) return;
  meta['stamped_headers'] = Object.keys(stamps);
  for (const [stamp, value] of Object.entries(stamps)) if (!(stamp in meta)) meta[stamp] = value;
}

/**
 * A result as Python writes it into key/value stores, byte for byte.
 * @throws {EncodeError} when the result or an extended field cannot be serialized
 */
export function encodeResult(record: ResultRecord, types?: JsonTypes): string {
  return pythonJson(resultMeta(record), types);
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function extendedOf(meta: Dict): ExtendedFields | undefined {
  if (!('name' in meta) && !('worker' in meta)) return undefined;
  const names = meta['stamped_headers'];
  const stamps = Array.isArray(names)
    ? { stamps: Object.fromEntries(names.map((name) => [String(name), meta[String(name)]])) }
    : {};
  return {
    name: textOrNull(meta['name']),
    args: meta['args'] ?? null,
    kwargs: meta['kwargs'] ?? null,
    worker: textOrNull(meta['worker']),
    retries: typeof meta['retries'] === 'number' ? meta['retries'] : null,
    queue: textOrNull(meta['queue']),
    ...stamps,
  };
}

/** A record of a decoded meta object, whatever it was stored in. */
export function recordOfMeta(meta: unknown, taskId?: string): ResultRecord {
  if (typeof meta !== 'object' || meta === null || Array.isArray(meta)) {
    throw new DecodeError(`stored result: expected an object, got ${Array.isArray(meta) ? 'a list' : typeof meta}`);
  }
  const { status, result, traceback, children, date_done, group_id, parent_id, task_id } = meta as Dict;
  if (typeof status !== 'string') throw new DecodeError('stored result without a status');
  const id = taskId ?? task_id;
  if (typeof id !== 'string') throw new DecodeError('stored result without a task_id');
  const extended = extendedOf(meta as Dict);
  return {
    taskId: id,
    status,
    result: result ?? null,
    traceback: textOrNull(traceback),
    children: Array.isArray(children) ? (children as readonly ResultTuple[]) : [],
    dateDone: textOrNull(date_done),
    ...(typeof group_id === 'string' ? { groupId: group_id } : {}),
    ...(typeof parent_id === 'string' ? { parentId: parent_id } : {}),
    ...(extended === undefined ? {} : { extended }),
  };
}

/**
 * Reads what `encodeResult` or Python stored.
 * @param taskId where the store's key has it: very old records lack `task_id`
 * @throws {DecodeError} when it is no result
 */
export function decodeResult(stored: string | Uint8Array, taskId?: string): ResultRecord {
  return recordOfMeta(loads(stored), taskId);
}

/** What a result is stored as: text, or a Buffer where its serializer writes bytes. */
export type Stored = string | Buffer;

/** How results become what is stored and come back: settings `resultSerializer` and `resultAcceptContent`. */
export interface ResultCodec {
  /** What it writes are Buffers, and what it reads must not have been taken for text on the way. */
  readonly binary: boolean;
  /** @throws {EncodeError} when the result cannot be serialized */
  encode(record: ResultRecord): Stored;
  /**
   * @throws {DecodeError} when it is no result
   * @throws {ContentDisallowed} when the content type is not accepted
   */
  decode(stored: string | Uint8Array, taskId?: string): ResultRecord;
  encodeGroup(group: ResultTuple): Stored;
  decodeGroup(stored: string | Uint8Array): ResultTuple | undefined;
  /** Any value, such as a member of a chord. @throws {EncodeError} when it cannot be serialized */
  write(value: unknown): Stored;
  /** @throws {DecodeError} {ContentDisallowed} as `decode()` */
  read(stored: string | Uint8Array): unknown;
}

/** A saved group as Celery has it. */
const groupMeta = (group: ResultTuple): object => ({ result: group });

function groupOf(meta: unknown): ResultTuple | undefined {
  return (meta as { readonly result?: ResultTuple } | null)?.result;
}

/** Python's JSON, whatever the settings say. */
export const JSON_RESULTS: ResultCodec & { encodeGroup(group: ResultTuple): string } = {
  binary: false,
  encode: (record) => encodeResult(record),
  decode: decodeResult,
  encodeGroup: (group) => pythonJson(groupMeta(group)),
  decodeGroup: (stored) => groupOf(loads(stored)),
  write: (value) => pythonJson(value),
  read: (stored) => loads(stored),
};

/**
 * @param accept names or MIME types of what may be read
 * @throws {ImproperlyConfigured} for serializers that nobody registered
 */
export function resultCodec(serializers: SerializerRegistry, name: string, accept: readonly string[]): ResultCodec {
  const { contentType, contentEncoding } = serializers.encode(null, name);
  const accepted = serializers.acceptSet(accept);
  const json = contentType === 'application/json';
  const binary = contentEncoding === 'binary';
  const write = (value: unknown): Stored => {
    if (json) return pythonJson(value, serializers.jsonTypes);
    const { body } = serializers.encode(value, contentType);
    return binary ? asBuffer(body) : utf8Text(body);
  };
  const read = (stored: string | Uint8Array): unknown => {
    if (json && accepted.has(contentType)) return loads(stored, serializers.jsonTypes);
    const bytes = typeof stored === 'string' ? new TextEncoder().encode(stored) : stored;
    return serializers.decode(bytes, contentType, accepted);
  };
  return {
    binary,
    encode: (record) => write(resultMeta(record)),
    decode: (stored, taskId) => recordOfMeta(read(stored), taskId),
    encodeGroup: (group) => write(groupMeta(group)),
    decodeGroup: (stored) => groupOf(read(stored)),
    write,
    read,
  };
}
