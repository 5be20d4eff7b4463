import { Cancellation } from '../runtime/cancellation.ts';
import { NO_EMBED, taskRequest, type TaskRequest } from './request.ts';
import {
  asDict,
  bodyOf,
  groupDict,
  headerOf,
  isChain,
  isChord,
  isGroup,
  listOf,
  tasksOf,
  withArgs,
  withOptions,
} from '../canvas/dict.ts';
import type { WireOptions } from '../canvas/wire-options.ts';
import { NotRegistered, Retry } from '../errors.ts';
import type { SignatureDict, TaskHeaders } from '../protocol/task-message.ts';
import { argsRepr, kwargsRepr } from '../protocol/safe-repr.ts';
import type { AsyncResult } from '../result/async-result.ts';
import { EagerResult } from '../result/eager-result.ts';
import { GroupTaskResult } from '../result/group-result.ts';
import type { Celery } from './celery.ts';
import { failureRecord, isInlineErrback, runHook, successRecord } from './follow-up.ts';
import type { RegisteredTask } from './task.ts';
import { trace, type Outcome } from './trace.ts';

/*
 * Eager mode: tasks run here, through the same trace as in a worker, without a broker.
 * Arguments take the way through the serializer, so that what would fail on the wire fails here too.
 */

const NEVER = new Cancellation();

/** Runs a whole signature here. Chains and groups run their members one after the other. */
export async function applyDict(
  app: Celery,
  signature: SignatureDict,
  options: WireOptions,
): Promise<AsyncResult<unknown>> {
  const dict = withOptions(asDict(signature), options);
  if (isChain(dict)) return applyChain(app, dict);
  if (isGroup(dict)) return applyGroup(app, dict);
  if (isChord(dict)) {
    const header = await applyGroup(app, groupDict(headerOf(dict)));
    const values = await header.get({ allowInTask: true });
    return applyDict(app, withArgs(bodyOf(dict), [values]), {});
  }
  return applyCall(app, dict);
}

async function applyChain(app: Celery, dict: SignatureDict): Promise<AsyncResult<unknown>> {
  let last: AsyncResult<unknown> | undefined;
  for (const step of tasksOf(dict)) {
    const args = last === undefined ? [] : [await last.get({ allowInTask: true })];
    const result = await applyDict(app, withArgs(step, args), {});
    last = last !== undefined && result instanceof EagerResult ? result.after(last) : result;
    if ((await last.state()) !== 'SUCCESS') return last;
  }
  return last as AsyncResult<unknown>;
}

async function applyGroup(app: Celery, dict: SignatureDict): Promise<AsyncResult<unknown>> {
  const results: AsyncResult<unknown>[] = [];
  for (const task of tasksOf(dict)) results.push(await applyDict(app, task, {}));
  return new GroupTaskResult(app.results, app.random.uuid(), results);
}

async function applyCall(app: Celery, dict: SignatureDict): Promise<AsyncResult<unknown>> {
  const task = app.tasks.get(dict.task);
  if (task === undefined) throw new NotRegistered(dict.task);
  const result = await applyTask(app, task, dict);
  if (app.conf.taskEagerPropagates) await result.get();
  return result;
}

/** Runs one task here: hooks, links and retries included. */
export async function applyTask(app: Celery, task: RegisteredTask, dict: SignatureDict): Promise<EagerResult<unknown>> {
  let request = eagerRequest(app, dict);
  let outcome = await trace(app, task, request, NEVER);
  while (outcome.kind === 'retry') {
    await runHook(app, task, 'onRetry', outcome.error, request, outcome.traceback);
    const { args, kwargs, retries } = outcome.retry;
    request = { ...request, args, kwargs, retries };
    outcome = await trace(app, task, request, NEVER);
  }
  await follow(app, task, request, outcome);
  return resultOf(request, outcome);
}

function eagerRequest(app: Celery, dict: SignatureDict): TaskRequest {
  const { options } = dict;
  const [args, kwargs] = roundTrip(app, dict.args, dict.kwargs);
  const id = (options['task_id'] as string | null | undefined) ?? app.random.uuid();
  const parent = app.lineage.current?.request;
  const headers: TaskHeaders = {
    lang: 'js',
    task: dict.task,
    id,
    shadow: (options['shadow'] as string | null | undefined) ?? null,
    eta: null,
    expires: null,
    group: (options['group_id'] as string | null | undefined) ?? null,
    group_index: (options['group_index'] as number | null | undefined) ?? null,
    retries: (options['retries'] as number | null | undefined) ?? 0,
    timelimit: [null, null],
    root_id: (options['root_id'] as string | null | undefined) ?? parent?.rootId ?? id,
    parent_id: (options['parent_id'] as string | null | undefined) ?? parent?.id ?? null,
    argsrepr: argsRepr(args),
    kwargsrepr: kwargsRepr(kwargs),
    origin: app.origin,
    ignore_result: (options['ignore_result'] as boolean | null | undefined) ?? null,
    replaced_task_nesting: 0,
    stamped_headers: null,
    stamps: {},
    ...(options['headers'] as Record<string, unknown> | null | undefined),
  };
  const embed = {
    ...NO_EMBED,
    callbacks: options['link'] == null ? null : listOf(options['link']),
    errbacks: options['link_error'] == null ? null : listOf(options['link_error']),
  };
  const deliveryInfo = { exchange: '', routingKey: '', priority: null, redelivered: false };
  return taskRequest(headers, { args, kwargs, embed }, { deliveryInfo, hostname: app.origin, isEager: true });
}

function roundTrip(
  app: Celery,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
): [readonly unknown[], Readonly<Record<string, unknown>>] {
  const { body, contentType } = app.serializers.encode([args, kwargs], app.conf.taskSerializer);
  return app.serializers.decode(body, contentType) as [readonly unknown[], Readonly<Record<string, unknown>>];
}

/** What `worker/settle.ts` does, with calls in place of messages. */
async function follow(app: Celery, task: RegisteredTask, request: TaskRequest, outcome: Outcome): Promise<void> {
  const base = { sender: task.name, taskId: request.id, task, request };
  const stores = app.conf.taskStoreEagerResult && !(request.ignoreResult ?? task.options.ignoreResult);
  if (outcome.kind === 'success') {
    for (const callback of request.callbacks ?? []) {
      await applyDict(app, withArgs(asDict(callback), [outcome.value]), { parent_id: request.id });
    }
    if (stores) await (await app.backend()).store(successRecord(app, request, outcome.value, outcome.children));
    await runHook(app, task, 'onSuccess', outcome.value, request);
    await app.signals.emit('taskSuccess', { ...base, result: outcome.value });
    await runHook(app, task, 'afterReturn', 'SUCCESS', outcome.value, request);
  } else if (outcome.kind === 'failure') {
    const { error, record, traceback } = outcome;
    if (stores) await (await app.backend()).store(failureRecord(app, request, record, traceback));
    for (const errback of request.errbacks ?? []) await callErrback(app, asDict(errback), request, outcome);
    await runHook(app, task, 'onFailure', error, request, traceback);
    await app.signals.emit('taskFailure', { ...base, error, record, traceback });
    await runHook(app, task, 'afterReturn', 'FAILURE', error, request);
  }
}

async function callErrback(
  app: Celery,
  errback: SignatureDict,
  request: TaskRequest,
  { error, traceback }: Extract<Outcome, { kind: 'failure' }>,
): Promise<void> {
  const local = app.tasks.get(errback.task);
  if (local !== undefined && isInlineErrback(local, errback)) {
    await (local.handler as (...args: unknown[]) => unknown)(request, error, traceback, ...errback.args);
  } else {
    await applyDict(app, withArgs(errback, [request.id]), {});
  }
}

function resultOf(request: TaskRequest, outcome: Outcome): EagerResult<unknown> {
  const common = { id: request.id, children: [], dateDone: null };
  switch (outcome.kind) {
    case 'success':
      return new EagerResult<unknown>(
        { ...common, state: 'SUCCESS', traceback: null, value: outcome.value },
        'SUCCESS',
      );
    case 'failure': {
      const error = outcome.error instanceof Error ? outcome.error : new Error(String(outcome.error));
      return new EagerResult<unknown>({ ...common, state: 'FAILURE', traceback: outcome.traceback, error }, 'FAILURE');
    }
    case 'retry':
      return new EagerResult<unknown>(
        { ...common, state: 'RETRY', traceback: null, error: new Retry('retry') },
        'RETRY',
      );
    case 'ignore':
      return new EagerResult<unknown>({ ...common, state: 'PENDING', traceback: null }, 'IGNORED');
    case 'reject':
      return new EagerResult<unknown>({ ...common, state: 'REJECTED', traceback: null }, 'REJECTED');
  }
}
