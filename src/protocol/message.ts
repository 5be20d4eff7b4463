/*
 * message    what the broker carries: headers, properties, a body of bytes
 * headers    application data beside the body; Celery keeps a task's metadata here (protocol 2)
 * properties what the broker itself understands
 */

/** The basic properties, under AMQP's names in camelCase. Absent and undefined mean the same. */
export interface MessageProperties {
  correlationId?: string | undefined;
  replyTo?: string | undefined;
  /** 2 survives a broker restart, 1 does not. */
  deliveryMode?: 1 | 2 | undefined;
  /** 0 to 255; what it means differs by broker (`spec`: 0 is served first on Redis, last on AMQP). */
  priority?: number | undefined;
  /** Milliseconds until the broker may drop the message, as text: `"60000"`. */
  expiration?: string | undefined;
  messageId?: string | undefined;
  timestamp?: number | undefined;
  type?: string | undefined;
  userId?: string | undefined;
  appId?: string | undefined;
  /** What a Python producer added under names that are none of AMQP's; virtual transports carry it along. */
  extra?: Readonly<Record<string, unknown>> | undefined;
}

export type Headers = Readonly<Record<string, unknown>>;

/** One message as every transport takes and gives it. The body is never decoded on the way. */
export interface Message {
  readonly body: Uint8Array;
  /** MIME type of the uncompressed body; empty text when the sender gave none. */
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly headers: Headers;
  readonly properties: Readonly<MessageProperties>;
}
