import { failFollowers } from '../app/chord.ts';
import { failureRecord } from '../app/follow-up.ts';
import { failure } from '../app/trace.ts';
import { ContentDisallowed, DecodeError, InvalidTaskError, NotRegistered, WorkerLostError } from '../errors.ts';
import { asDeadLetter, deadLetterQueue } from '../messaging/dead-letter.ts';
import { queue as queueNamed } from '../messaging/entity.ts';
import { pythonRepr, toExceptionRecord } from '../protocol/exception.ts';
import type { TaskHeaders } from '../protocol/task-message.ts';
import type { Delivery } from '../transports/transport.ts';
import { acknowledge, announceFailure } from './settle.ts';
import type { WorkerParts } from './parts.ts';
import { viewOf, type Request } from './request.ts';
import { viewOfUnread } from './unread.ts';

/*
 * Messages that never run. Each is settled once, logged once and counted; whoever waits for a result is told.
 * None of this rejects or stops the consumer (spec: messages.md 9).
 */

/** A message that cannot be read. Like Celery, an undecodable body is acknowledged, everything else refused. */
export async function discardMalformed(
  parts: WorkerParts,
  delivery: Delivery,
  error: unknown,
  headers?: TaskHeaders,
): Promise<void> {
  const { app, log, counters } = parts;
  counters.malformed++;
  const undecodable = error instanceof DecodeError && !(error instanceof ContentDisallowed);
  const fields = { error, queue: delivery.queue, contentType: delivery.message.contentType, taskId: headers?.id };
  if (undecodable) log.fatal(fields, "can't decode message body");
  else if (error instanceof InvalidTaskError || error instanceof ContentDisallowed) {
    log.error(fields, 'received invalid task message: it was discarded');
  } else log.error(fields, 'received a message that cannot be handled: it was discarded');
  try {
    if (headers !== undefined && headers.ignore_result !== true) {
      const record = toExceptionRecord(error);
      await parts.backend.store(failureRecord(app, viewOf(delivery, headers, undefined, parts.hostname), record, null));
    }
    if (app.signals.has('taskRejected')) {
      await app.signals.emit('taskRejected', { sender: parts.hostname, message: delivery.message, error });
    }
  } catch (failed) {
    log.error({ error: failed, taskId: headers?.id }, 'the failure of a discarded message could not be stored');
  }
  await quietly(parts, undecodable ? delivery.ack() : delivery.reject({ requeue: false }));
}

/** No task of that name here: FAILURE NotRegistered, so that the caller does not wait for ever. */
export async function discardUnknown(parts: WorkerParts, delivery: Delivery, headers: TaskHeaders): Promise<void> {
  const { app, events, log, counters } = parts;
  counters.unknown++;
  const { task: name, id } = headers;
  log.error({ task: name, taskId: id, queue: delivery.queue }, 'received unregistered task: the message was discarded');
  const error = new NotRegistered(name);
  const record = toExceptionRecord(error);
  try {
    const view = await viewOfUnread(parts, delivery, headers, undefined);
    if (headers.ignore_result !== true) await parts.backend.store(failureRecord(app, view, record, null));
    await failFollowers(app, view, 'FAILURE', record, null);
    if (events.taskEvents) events.send('task-failed', { uuid: id, exception: pythonRepr(error) });
    if (app.signals.has('taskUnknown')) {
      await app.signals.emit('taskUnknown', { sender: parts.hostname, name, id, message: delivery.message });
    }
  } catch (failed) {
    log.error({ error: failed, taskId: id }, 'the failure of an unregistered task could not be stored');
  }
  await quietly(parts, delivery.reject({ requeue: false }));
}

/** The message killed its worker too often: FAILURE WorkerLostError, kept in the dead-letter queue. */
export async function discardExhausted(parts: WorkerParts, request: Request, losses?: number): Promise<void> {
  const { app, log } = parts;
  const { delivery, headers } = request;
  const deliveries = losses ?? (delivery.deliveryCount ?? 0) - 1;
  const error = new WorkerLostError(
    `Worker exited prematurely: the message was handed out ${deliveries} times and never settled.`,
  );
  try {
    const view = await viewOfUnread(parts, delivery, headers, request.body);
    request.view = view;
    const to = queueNamed(deadLetterQueue(delivery.queue));
    const death = { queue: delivery.queue, reason: error.message, atMs: app.clock.now() };
    const message = asDeadLetter(delivery.message, death);
    await app.publisher.publishRaw(message, { exchange: '', routingKey: to.name }, { declares: [to] });
    const outcome = failure(app, request.task, error);
    log.error({ taskId: request.id, task: request.displayName, deliveries, deadLetterQueue: to.name }, error.message);
    await announceFailure(parts, request, outcome, 'ack');
    acknowledge(parts, request);
  } catch (failed) {
    log.error({ error: failed, taskId: request.id }, 'a message that kills its workers could not be put away');
    await quietly(parts, delivery.reject({ requeue: true }));
  }
}

async function quietly(parts: WorkerParts, settled: Promise<void>): Promise<void> {
  try {
    await settled;
  } catch (error) {
    parts.log.warn({ error }, 'the broker was gone before a discarded message was settled');
  }
}
