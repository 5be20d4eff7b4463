import type { TaskRequest } from '../app/request.ts';
import { decodeBody, decompressMessage } from '../protocol/decode.ts';
import type { TaskBody, TaskHeaders } from '../protocol/task-message.ts';
import type { Delivery } from '../transports/transport.ts';
import type { WorkerParts } from './parts.ts';
import { viewOf } from './request.ts';

/**
 * What a message says that will not run here: its chord and the rest of its chain have to be told. A body that cannot
 * be read says nothing.
 */
export async function viewOfUnread(
  parts: WorkerParts,
  delivery: Delivery,
  headers: TaskHeaders,
  body: TaskBody | undefined,
): Promise<TaskRequest> {
  const { app, hostname } = parts;
  let known = body;
  try {
    const message =
      known === undefined && headers.compression !== undefined
        ? await decompressMessage(delivery.message, app.conf.maxDecompressedBytes)
        : delivery.message;
    known ??= decodeBody(message, app.serializers, app.serializers.acceptSet(app.conf.acceptContent));
  } catch {
    // Whoever sent it is told by the result; nobody can know what would have followed.
  }
  return viewOf(delivery, headers, known, hostname);
}
