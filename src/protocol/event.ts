import { DecodeError } from '../errors.ts';
import type { SerializerRegistry } from '../serializers/registry.ts';
import { decodeContent } from './decode.ts';
import type { Message } from './message.ts';
import type { EncodeBody } from './v2.ts';

/*
 * Event messages (spec: remote-control.md B1): one event object, or a list of them.
 */

/** An event as it travels; keys are the wire's own. */
export interface EventFields {
  readonly type: string;
  readonly hostname: string;
  /** Unix time in seconds. */
  readonly timestamp: number;
  readonly clock: number | null;
  readonly pid?: number;
  /** Hours west of UTC. */
  readonly utcoffset?: number;
  readonly [field: string]: unknown;
}

/** Routing key of one event: every `-` of its type becomes `.`. */
export function eventRoutingKey(type: string): string {
  return type.replaceAll('-', '.');
}

/** Routing key of a message with several task events. */
export const GROUPED_EVENTS_KEY = 'task.multi';

/** One event, or a list for a grouped message. */
export function encodeEvents(
  events: EventFields | readonly EventFields[],
  hostname: string,
  encoding: EncodeBody,
): Message {
  const { body, contentType, contentEncoding } = encoding(events);
  return { body, contentType, contentEncoding, headers: { hostname }, properties: { deliveryMode: 1, priority: 0 } };
}

function isEvent(value: unknown): value is EventFields {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';
}

/**
 * The events of a message, in order. Elements of a list that are no events are left out.
 * @throws {DecodeError} when there is none; {ContentDisallowed} when its content type is refused
 */
export function decodeEvents(
  message: Message,
  serializers: SerializerRegistry,
  accept: ReadonlySet<string>,
): readonly EventFields[] {
  const body = decodeContent(message, serializers, accept);
  const events = (Array.isArray(body) ? body : [body]).filter(isEvent);
  if (events.length === 0 && !(Array.isArray(body) && body.length === 0)) {
    throw new DecodeError('event message: expected an object with a type, or a list of them');
  }
  return events;
}
