import { Buffer } from 'node:buffer';
import { DecodeError } from '../errors.ts';
import { dumps, loads } from '../serializers/json.ts';
import { asBuffer } from '../serializers/utf8.ts';
import type { Headers, Message, MessageProperties } from './message.ts';

/*
 * Kombu's envelope: how brokers without headers and properties keep a message, one JSON object (spec: virtual.md 1).
 */

export interface EnvelopeOptions {
  /** Empty text: the default exchange. */
  readonly exchange: string;
  readonly routingKey: string;
  /** A UUID, different for every publish. */
  readonly deliveryTag: string;
  /** Default: the message's own, else 0. */
  readonly priority?: number | undefined;
}

export interface Envelope {
  readonly message: Message;
  readonly deliveryTag: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly redelivered: boolean;
}

/** Wire names of what few messages have, in the order Python writes them, after the correlation id and `reply_to`. */
const RARE_NAMES: readonly (readonly [Exclude<keyof MessageProperties, 'extra'>, string])[] = [
  ['messageId', 'message_id'],
  ['timestamp', 'timestamp'],
  ['type', 'type'],
  ['userId', 'user_id'],
  ['appId', 'app_id'],
];

function encodeProperties(properties: MessageProperties, options: EnvelopeOptions): string {
  const { correlationId, replyTo, expiration, extra } = properties;
  let json = '{';
  if (correlationId !== undefined) json += `"correlation_id":${JSON.stringify(correlationId)},`;
  if (replyTo !== undefined) json += `"reply_to":${JSON.stringify(replyTo)},`;
  for (const [name, wire] of RARE_NAMES) {
    const value = properties[name];
    if (value !== undefined) json += `"${wire}":${JSON.stringify(value)},`;
  }
  if (extra !== undefined) {
    for (const name in extra) json += `${JSON.stringify(name)}:${dumps(extra[name])},`;
  }
  json += `"delivery_mode":${properties.deliveryMode ?? 2},`;
  if (expiration !== undefined) json += `"expiration":${JSON.stringify(expiration)},`;
  const { exchange, routingKey, deliveryTag } = options;
  return `${json}"delivery_info":{"exchange":${JSON.stringify(exchange)},"routing_key":${JSON.stringify(routingKey)}},"priority":${options.priority ?? properties.priority ?? 0},"body_encoding":"base64","delivery_tag":${JSON.stringify(deliveryTag)}}`;
}

/**
 * The text that is stored for a message.
 * @throws {EncodeError} when a header cannot be serialized
 */
export function encodeEnvelope(message: Message, options: EnvelopeOptions): string {
  const body = asBuffer(message.body).toString('base64');
  const encoding = JSON.stringify(message.contentEncoding);
  const type = JSON.stringify(message.contentType);
  const properties = encodeProperties(message.properties, options);
  return `{"body":"${body}","content-encoding":${encoding},"content-type":${type},"headers":${dumps(message.headers)},"properties":${properties}}`;
}

type Dict = Readonly<Record<string, unknown>>;

function dict(value: unknown, what: string): Dict {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Dict;
  throw new DecodeError(`${what}: expected an object, got ${value === null ? 'null' : typeof value}`);
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function textProperty(value: unknown): string | undefined {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined;
}

function integer(value: unknown): number | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? Math.trunc(number) : undefined;
}

function decodeBodyText(body: unknown, encoding: unknown): Uint8Array {
  if (body === undefined || body === null) return new Uint8Array(0);
  if (body instanceof Uint8Array) return body;
  if (typeof body !== 'string') throw new DecodeError(`envelope body: expected text, got ${typeof body}`);
  return Buffer.from(body, encoding === 'base64' ? 'base64' : 'utf8');
}

/** One pass over the keys; names that are not known are carried along. */
function decodeProperties(raw: Dict, deliveryInfo: Dict): MessageProperties {
  const properties: MessageProperties = {};
  let priority: unknown;
  let extra: Record<string, unknown> | undefined;
  for (const name in raw) {
    const value = raw[name];
    switch (name) {
      case 'delivery_info':
      case 'body_encoding':
      case 'delivery_tag':
        break;
      case 'priority':
        priority = value;
        break;
      case 'correlation_id':
        properties.correlationId = textProperty(value);
        break;
      case 'reply_to':
        properties.replyTo = textProperty(value);
        break;
      case 'delivery_mode':
        if (value === 1 || value === 2) properties.deliveryMode = value;
        break;
      case 'expiration':
        properties.expiration = textProperty(value);
        break;
      case 'message_id':
        properties.messageId = textProperty(value);
        break;
      case 'timestamp':
        properties.timestamp = integer(value);
        break;
      case 'type':
        properties.type = textProperty(value);
        break;
      case 'user_id':
        properties.userId = textProperty(value);
        break;
      case 'app_id':
        properties.appId = textProperty(value);
        break;
      default:
        if (name !== '__proto__') (extra ??= {})[name] = value;
    }
  }
  // Kombu up to 3 kept the priority beside the exchange.
  const number = integer(priority ?? deliveryInfo['priority']);
  if (number !== undefined) properties.priority = number;
  if (extra !== undefined) properties.extra = extra;
  return properties;
}

/**
 * Reads a stored message.
 * @throws {DecodeError} when it is no envelope: not JSON, no properties, no delivery tag
 */
export function decodeEnvelope(stored: string | Uint8Array): Envelope {
  const envelope = dict(loads(stored), 'envelope');
  const raw = dict(envelope['properties'], 'envelope properties');
  const info = raw['delivery_info'] === undefined ? {} : dict(raw['delivery_info'], 'delivery_info');
  const tag = raw['delivery_tag'];
  if (typeof tag !== 'string' && typeof tag !== 'number') throw new DecodeError('envelope without a delivery_tag');
  const headers: Headers = envelope['headers'] == null ? {} : dict(envelope['headers'], 'envelope headers');
  return {
    message: {
      body: decodeBodyText(envelope['body'], raw['body_encoding']),
      contentType: text(envelope['content-type']) ?? '',
      contentEncoding: text(envelope['content-encoding']) ?? 'utf-8',
      headers,
      properties: decodeProperties(raw, info),
    },
    deliveryTag: String(tag),
    exchange: text(info['exchange']) ?? '',
    routingKey: text(info['routing_key']) ?? '',
    redelivered: envelope['redelivered'] === true || info['redelivered'] === true,
  };
}
