import { isUtf8 } from 'node:buffer';
import type { Celery } from '../app/celery.ts';
import { customHeaders, taskRequest, type TaskRequest } from '../app/request.ts';
import { decodeBody, decompressMessage } from '../protocol/decode.ts';
import type { Message, MessageProperties } from '../protocol/message.ts';
import type { TaskBody, TaskHeaders } from '../protocol/task-message.ts';
import { dumps, loads } from '../serializers/json.ts';
import type { Job } from './pool.ts';
import type { WireJob } from './wire.ts';

/** A job for a child. Hot path: the body is copied once and not read. */
export function encodeJob({ message, headers, body, request }: Job): WireJob {
  const { exchange, routingKey, priority, redelivered } = request.deliveryInfo;
  const { properties } = message;
  const plain = headers.stamped_headers === null && customHeaders(headers) === null;
  return {
    headers: plain ? headers : dumps(headers),
    ...(body === undefined ? bytesOf(message) : readAlready(body)),
    properties: properties.extra === undefined ? properties : dumps(properties),
    exchange,
    routingKey,
    priority,
    redelivered,
  };
}

type Content = Pick<WireJob, 'body' | 'bodyAs' | 'contentType' | 'contentEncoding'>;

function bytesOf({ body, contentType, contentEncoding }: Message): Content {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const bodyAs = isUtf8(bytes) ? 'utf8' : 'base64';
  return { body: bytes.toString(bodyAs), bodyAs, contentType, contentEncoding };
}

/** Protocol 1: what is left of the message is what protocol 2 would have sent. */
function readAlready({ args, kwargs, embed }: TaskBody): Content {
  return {
    body: dumps([args, kwargs, embed]),
    bodyAs: 'utf8',
    contentType: 'application/json',
    contentEncoding: 'utf-8',
  };
}

const NOT_COMPRESSED: Readonly<Record<string, never>> = Object.freeze({});

/**
 * The job as the handler sees it.
 * @throws {DecodeError} {ContentDisallowed} {InvalidTaskError} when the body cannot be read
 */
export async function decodeJob(
  app: Celery,
  job: WireJob,
  accept: ReadonlySet<string>,
  hostname: string,
): Promise<TaskRequest> {
  const headers = (typeof job.headers === 'string' ? loads(job.headers) : job.headers) as TaskHeaders;
  const properties = (typeof job.properties === 'string' ? loads(job.properties) : job.properties) as MessageProperties;
  const { contentType, contentEncoding } = job;
  let message: Message = {
    body: Buffer.from(job.body, job.bodyAs),
    contentType,
    contentEncoding,
    headers: headers.compression === undefined ? NOT_COMPRESSED : { compression: headers.compression },
    properties,
  };
  if (headers.compression !== undefined) message = await decompressMessage(message, app.conf.maxDecompressedBytes);
  const body = decodeBody(message, app.serializers, accept);
  const { exchange, routingKey, priority, redelivered } = job;
  return taskRequest(headers, body, {
    deliveryInfo: { exchange, routingKey, priority, redelivered },
    replyTo: properties.replyTo ?? null,
    correlationId: properties.correlationId ?? null,
    properties,
    hostname,
  });
}
