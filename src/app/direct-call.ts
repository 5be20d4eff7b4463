import { NotRegistered } from '../errors.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { Cancellation } from '../runtime/cancellation.ts';
import type { Celery } from './celery.ts';
import { NO_EMBED, taskRequest, type TaskRequest } from './request.ts';
import { execute } from './trace.ts';

/**
 * Calls a registered task's body here, like a function; inside a run it belongs to that run.
 * @throws {NotRegistered}
 */
export async function callDirectly(app: Celery, dict: SignatureDict): Promise<unknown> {
  const task = app.tasks.get(dict.task);
  if (task === undefined) throw new NotRegistered(dict.task);
  const run = app.lineage.current;
  const { args, kwargs } = dict;
  const request: TaskRequest = run
    ? { ...run.request, task: task.name, args, kwargs, calledDirectly: true }
    : directRequest(app, dict);
  return execute(app, task, request, new Cancellation());
}

function directRequest(app: Celery, dict: SignatureDict): TaskRequest {
  const id = app.random.uuid();
  const headers = {
    lang: 'js',
    task: dict.task,
    id,
    shadow: null,
    eta: null,
    expires: null,
    group: null,
    group_index: null,
    retries: 0,
    timelimit: [null, null] as const,
    root_id: id,
    parent_id: null,
    argsrepr: '',
    kwargsrepr: '',
    origin: app.origin,
    ignore_result: null,
    replaced_task_nesting: 0,
    stamped_headers: null,
    stamps: {},
  };
  const body = { args: dict.args, kwargs: dict.kwargs, embed: NO_EMBED };
  const deliveryInfo = { exchange: '', routingKey: '', priority: null, redelivered: false };
  return taskRequest(headers, body, { deliveryInfo, calledDirectly: true });
}
