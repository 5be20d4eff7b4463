import { EncodeError } from '../errors.ts';
import type { EncodedBody } from '../serializers/registry.ts';
import type { Message, MessageProperties } from './message.ts';
import type { Embed, TaskBody, TaskHeaders } from './task-message.ts';

/** Serializes a body; bound to one serializer by the caller. `compression` is a MIME type. */
export type EncodeBody = (value: unknown) => EncodedBody & { readonly compression?: string | undefined };

/** Nothing follows the task. */
export const NO_EMBED: Embed = Object.freeze({ callbacks: null, errbacks: null, chain: null, chord: null });

/** The body as it is serialized: `[args, kwargs, embed]`, with all four keys of the embed. */
export function bodyV2({ args, kwargs, embed }: TaskBody): readonly unknown[] {
  const { callbacks, errbacks, chain, chord } = embed;
  return [args, kwargs, { callbacks, errbacks, chain, chord }];
}

/** Says `args[0]` instead of a path into the body. */
export function namedArguments(error: unknown): unknown {
  if (!(error instanceof EncodeError)) return error;
  const message = error.message.replace('$[0]', 'args').replace('$[1]', 'kwargs').replace('$[2]', 'embed');
  return message === error.message ? error : new EncodeError(message, { cause: error });
}

/** Runs the serializer, with arguments called by their name in its errors. */
export function encodeArguments(encoding: EncodeBody, value: unknown): ReturnType<EncodeBody> {
  try {
    return encoding(value);
  } catch (error) {
    throw namedArguments(error);
  }
}

/**
 * A task message of protocol 2 (spec: messages.md 2 to 4). Headers go as they are given: Python writes them in the
 * order of `TaskHeaders`, custom ones last.
 * The correlation id is the task id unless `properties` has one.
 * @throws {EncodeError} when an argument cannot be serialized
 */
export function encodeTaskV2(
  headers: TaskHeaders,
  body: TaskBody,
  encoding: EncodeBody,
  properties: MessageProperties,
): Message {
  const encoded = encodeArguments(encoding, bodyV2(body));
  return {
    body: encoded.body,
    contentType: encoded.contentType,
    contentEncoding: encoded.contentEncoding,
    headers: encoded.compression === undefined ? headers : { ...headers, compression: encoded.compression },
    properties: { correlationId: headers.id, ...properties },
  };
}
