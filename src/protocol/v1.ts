import type { Message, MessageProperties } from './message.ts';
import type { TaskBody, TaskHeaders } from './task-message.ts';
import { encodeArguments, type EncodeBody } from './v2.ts';
import { customHeaders } from './headers.ts';

/**
 * A task message of protocol 1: everything in the body, headers only for the application's own (spec: messages.md 13).
 * Root, parent, origin, shadow and the rest of a chain are not in it: a chain has to be nested callbacks.
 * @throws {EncodeError} when an argument cannot be serialized
 */
export function encodeTaskV1(
  headers: TaskHeaders,
  body: TaskBody,
  encoding: EncodeBody,
  properties: MessageProperties,
): Message {
  const { task, id, group, group_index, retries, eta, expires, timelimit } = headers;
  const { callbacks, errbacks, chord } = body.embed;
  const encoded = encodeArguments(encoding, {
    task,
    id,
    args: body.args,
    kwargs: body.kwargs,
    group,
    group_index,
    retries,
    eta,
    expires,
    utc: true,
    callbacks,
    errbacks,
    timelimit,
    taskset: group,
    chord,
  });
  const custom = customHeaders(headers);
  return {
    body: encoded.body,
    contentType: encoded.contentType,
    contentEncoding: encoded.contentEncoding,
    headers: encoded.compression === undefined ? custom : { ...custom, compression: encoded.compression },
    properties: { correlationId: id, ...properties },
  };
}
