import { decodeBody } from '../protocol/decode.ts';
import { safeRepr } from '../protocol/safe-repr.ts';
import type { TaskBody } from '../protocol/task-message.ts';
import type { WorkerParts } from './parts.ts';
import type { Request } from './request.ts';

/** How remote control describes a request (spec: remote-control.md A5). `safe`: texts instead of arguments. */
export function requestInfo(parts: WorkerParts, request: Request, safe = false): Readonly<Record<string, unknown>> {
  const { headers, delivery } = request;
  const body = safe ? undefined : readable(parts, request);
  return {
    id: request.id,
    name: request.displayName,
    args: body ? body.args : headers.argsrepr,
    kwargs: body ? body.kwargs : headers.kwargsrepr,
    type: headers.task,
    hostname: parts.hostname,
    time_start: request.startedMs === undefined ? null : request.startedMs / 1000,
    acknowledged: request.acknowledged,
    delivery_info: {
      exchange: delivery.exchange,
      routing_key: delivery.routingKey,
      priority: delivery.message.properties.priority ?? null,
      redelivered: delivery.redelivered,
    },
    worker_pid: request.startedMs === undefined ? null : (request.pid ?? process.pid),
  };
}

function readable(parts: WorkerParts, request: Request): Pick<TaskBody, 'args' | 'kwargs'> | undefined {
  if (request.body) return request.body;
  const { serializers, conf } = parts.app;
  try {
    return decodeBody(request.delivery.message, serializers, serializers.acceptSet(conf.acceptContent));
  } catch (error) {
    return { args: [safeRepr(String(error))], kwargs: {} };
  }
}
