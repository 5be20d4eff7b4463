import { DecodeError } from '../errors.ts';
import type { SerializerRegistry } from '../serializers/registry.ts';
import { decodeContent } from './decode.ts';
import type { Message } from './message.ts';
import type { EncodeBody } from './v2.ts';

/*
 * request  a remote control command as it travels to every worker
 * reply    one worker's answer
 *
 * Source: `kombu.pidbox.Mailbox` and `Node` (spec: remote-control.md A1, A2).
 */

type Dict = Readonly<Record<string, unknown>>;

export interface ControlRequest {
  readonly method: string;
  /** Keyword arguments of the command. */
  readonly arguments: Dict;
  /** Only these nodes act; null is all. */
  readonly destination: readonly string[] | null;
  readonly pattern?: string | null | undefined;
  readonly matcher?: string | null | undefined;
  /** Both are there when a reply is wanted, neither when not. */
  readonly ticket?: string | undefined;
  readonly replyTo?: ReplyTo | undefined;
  /** The sender's logical clock. */
  readonly clock?: number | undefined;
}

export interface ReplyTo {
  readonly exchange: string;
  readonly routingKey: string;
}

export interface ControlReply {
  /** Node name of the worker. */
  readonly node: string;
  readonly value: unknown;
  readonly ticket: string | undefined;
  readonly clock: number | undefined;
  /** Unix time in seconds after which the reply is worthless. */
  readonly expires: number | undefined;
}

/** @param expiresAtSeconds Unix time after which the asker waits no longer; 0 without a timeout. Workers ignore it. */
export function encodeControlRequest(request: ControlRequest, encoding: EncodeBody, expiresAtSeconds: number): Message {
  const { method, destination, pattern, matcher, ticket, replyTo, clock } = request;
  const body: Record<string, unknown> = {
    method,
    arguments: request.arguments,
    destination,
    pattern: pattern ?? null,
    matcher: matcher ?? null,
  };
  if (ticket !== undefined && replyTo !== undefined) {
    body['ticket'] = ticket;
    body['reply_to'] = { exchange: replyTo.exchange, routing_key: replyTo.routingKey };
  }
  const { body: bytes, contentType, contentEncoding } = encoding(body);
  return {
    body: bytes,
    contentType,
    contentEncoding,
    headers: { clock: clock ?? 0, expires: expiresAtSeconds },
    properties: { deliveryMode: 1, priority: 0 },
  };
}

function isDict(value: unknown): value is Dict {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function replyToOf(value: unknown): ReplyTo | undefined {
  if (!isDict(value)) return undefined;
  const { exchange, routing_key } = value;
  return typeof exchange === 'string' && typeof routing_key === 'string'
    ? { exchange, routingKey: routing_key }
    : undefined;
}

/**
 * @throws {DecodeError} when it is no command; {ContentDisallowed} when its content type is refused
 */
export function decodeControlRequest(
  message: Message,
  serializers: SerializerRegistry,
  accept: ReadonlySet<string>,
): ControlRequest {
  const body = decodeContent(message, serializers, accept);
  if (!isDict(body) || typeof body['method'] !== 'string') {
    throw new DecodeError('control request: expected an object with a method');
  }
  const { destination, ticket } = body;
  return {
    method: body['method'],
    arguments: isDict(body['arguments']) ? body['arguments'] : {},
    destination: Array.isArray(destination) ? destination.filter((name) => typeof name === 'string') : null,
    pattern: textOrNull(body['pattern']),
    matcher: textOrNull(body['matcher']),
    ticket: textOrNull(ticket) ?? undefined,
    replyTo: replyToOf(body['reply_to']),
    clock: numberOf(message.headers['clock']),
  };
}

/** One worker's answer; the value is what the command returned, or `{ error: text }`. */
export function encodeControlReply(
  reply: {
    readonly node: string;
    readonly value: unknown;
    readonly ticket: string | undefined;
    readonly clock: number;
  },
  encoding: EncodeBody,
): Message {
  const { body, contentType, contentEncoding } = encoding({ [reply.node]: reply.value });
  return {
    body,
    contentType,
    contentEncoding,
    headers: { ...(reply.ticket === undefined ? {} : { ticket: reply.ticket }), clock: reply.clock },
    properties: { deliveryMode: 1, priority: 0 },
  };
}

/**
 * Usually one reply; a body with several nodes gives several.
 * @throws {DecodeError} when it is no reply; {ContentDisallowed} when its content type is refused
 */
export function decodeControlReplies(
  message: Message,
  serializers: SerializerRegistry,
  accept: ReadonlySet<string>,
): readonly ControlReply[] {
  const body = decodeContent(message, serializers, accept);
  if (!isDict(body)) throw new DecodeError('control reply: expected an object of node names');
  const { ticket, clock, expires } = message.headers;
  return Object.entries(body).map(([node, value]) => ({
    node,
    value,
    ticket: textOrNull(ticket) ?? undefined,
    clock: numberOf(clock),
    expires: numberOf(expires),
  }));
}
