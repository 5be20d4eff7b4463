import type { ResultRecord } from '../backends/backend.ts';
import { asDict, groupDict, isGroup, withArgs } from '../canvas/dict.ts';
import type { ExceptionRecord } from '../protocol/exception.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { toIso } from '../protocol/time.ts';
import type { Celery } from './celery.ts';
import type { RetryRequest } from './context.ts';
import type { TaskHooks } from './hooks.ts';
import type { TaskRequest } from './request.ts';
import type { RegisteredTask } from './task.ts';
import type { Failure, RetryOutcome } from './trace.ts';

/*
 * What has to happen after a run, as single steps. `worker/settle.ts` puts them in order.
 * All of them may be repeated after a crash: ids are fixed, records are written over.
 */

type Options = Readonly<Record<string, unknown>>;

/** Options that everything sent on behalf of a finished task has. */
export function descent(app: Celery, request: TaskRequest): Options {
  const options: Record<string, unknown> = { root_id: request.rootId ?? request.id, parent_id: request.id };
  if (app.conf.taskInheritParentPriority && request.deliveryInfo.priority !== null) {
    options['priority'] = request.deliveryInfo.priority;
  }
  return options;
}

/**
 * Sends the callbacks, then the next step of the chain, each with the value in front of its arguments.
 * Several plain callbacks share one new group, as in Celery.
 * @returns handles of what was sent
 */
export async function publishCallbacks(app: Celery, request: TaskRequest, value: unknown): Promise<ResultTuple[]> {
  const { callbacks, chain } = request;
  const sent: ResultTuple[] = [];
  if (callbacks !== null && callbacks.length > 0) {
    const all = callbacks.map(asDict);
    const plain = all.filter((one) => !isGroup(one));
    const groups = all.filter(isGroup);
    const single = plain.length === 1 && groups.length === 0;
    const joined = plain.length === 0 ? [] : single ? plain : [groupDict(plain)];
    for (const callback of [...groups, ...joined]) sent.push(await follow(app, request, callback, [value], {}));
  }
  const next = chain?.at(-1);
  if (chain !== null && next !== undefined) {
    const rest = chain.slice(0, -1);
    sent.push(await follow(app, request, asDict(next), [value], { chain: rest }));
  }
  return sent;
}

async function follow(
  app: Celery,
  request: TaskRequest,
  signature: SignatureDict,
  args: readonly unknown[],
  options: Options,
): Promise<ResultTuple> {
  const handle = await app.sender.sendDetached(withArgs(signature, args), { ...descent(app, request), ...options });
  if (app.signals.has('followUpSent')) await app.signals.emit('followUpSent', { sender: request.task, signature });
  return handle.toJSON();
}

/**
 * Calls the errbacks. Those defined here to take request, error and traceback run in place; all others are sent
 * together as one new group, with the failed task's id as first argument. Spec: messages.md 6.6.
 */
export async function publishErrbacks(
  app: Celery,
  request: TaskRequest,
  outcome: Pick<Failure, 'error' | 'traceback'>,
): Promise<void> {
  const { errbacks } = request;
  if (errbacks === null || errbacks.length === 0) return;
  const sent: SignatureDict[] = [];
  for (const errback of errbacks.map(asDict)) {
    const local = app.tasks.get(errback.task);
    if (local === undefined || !isInlineErrback(local, errback)) sent.push(errback);
    else await callInline(app, local, errback, request, outcome);
  }
  if (sent.length === 0) return;
  await follow(app, request, groupDict(sent.map((errback) => withArgs(errback, [request.id]))), [], {});
}

/**
 * An unbound task of this process that still takes two arguments or more once those bound are filled in.
 * Differs: Celery counts the bound ones too, and so calls `errback.s(extra)` with a request where an id was meant.
 */
export function isInlineErrback(task: RegisteredTask, errback: SignatureDict): boolean {
  return !task.bind && !errback.immutable && task.handler.length - errback.args.length > 1;
}

async function callInline(
  app: Celery,
  task: RegisteredTask,
  errback: SignatureDict,
  request: TaskRequest,
  outcome: Pick<Failure, 'error' | 'traceback'>,
): Promise<void> {
  const handler = task.handler as (...args: unknown[]) => unknown;
  try {
    await handler(request, outcome.error, outcome.traceback, ...errback.args);
  } catch (error) {
    app.log.error({ error, task: task.name, failedTaskId: request.id }, 'errback failed');
  }
}

/** Sends the run that `ctx.retry()` asked for: the same id and everything that belongs to it. Spec: messages.md 6.5. */
export async function publishRetry(app: Celery, request: TaskRequest, retry: RetryRequest): Promise<void> {
  const { deliveryInfo } = request;
  const [hard, soft] = request.timelimit;
  const stamps = request.stampedHeaders === null ? {} : { stamped_headers: request.stampedHeaders, ...request.stamps };
  const options: Options = {
    ...stamps,
    ...destination(deliveryInfo.exchange, deliveryInfo.routingKey),
    task_id: request.id,
    root_id: request.rootId,
    // Quirk: a retry of a task without a parent becomes its own parent, because Celery sends it from inside the task.
    parent_id: request.parentId ?? request.id,
    retries: retry.retries,
    eta: retry.etaMs === null ? null : toIso(retry.etaMs, app.conf.timezone ?? null),
    expires: request.expires,
    shadow: request.shadow,
    time_limit: hard,
    soft_time_limit: soft,
    group_id: request.group,
    group_index: request.groupIndex,
    chord: request.chord,
    chain: request.chain,
    link: request.callbacks,
    link_error: request.errbacks,
    reply_to: request.replyTo,
    origin: request.origin,
    ignore_result: request.ignoreResult,
    replaced_task_nesting: request.replacedTaskNesting,
    headers: withoutDeathRecords(request.headers),
    priority: deliveryInfo.priority,
    ...retry.options,
  };
  const { task } = request;
  const clean = 'queue' in retry.options ? { ...options, exchange: null, routing_key: null } : options;
  await app.publisher.publish({ task, args: retry.args, kwargs: retry.kwargs, options: clean });
}

/** RabbitMQ's notes about dead-lettering belong to the old message (spec: messages.md 2.1). */
const DEATH_RECORD = /^x-(?:death$|(?:first|last)-death-)/;

function withoutDeathRecords(headers: Options | null): Options | null {
  if (headers === null || !Object.keys(headers).some((name) => DEATH_RECORD.test(name))) return headers;
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !DEATH_RECORD.test(name)));
}

/** Back to where the message came from. */
function destination(exchange: string, routingKey: string): Options {
  return exchange === '' ? { queue: routingKey } : { exchange, routing_key: routingKey };
}

function record(
  app: Celery,
  request: TaskRequest,
  status: string,
  result: unknown,
  more: { traceback?: string | null; children?: readonly ResultTuple[]; ready: boolean },
): ResultRecord {
  const stored: ResultRecord = {
    taskId: request.id,
    status,
    result,
    traceback: more.traceback ?? null,
    children: more.children ?? [],
    dateDone: more.ready ? toIso(app.clock.now(), app.conf.timezone ?? null) : null,
    groupId: request.group,
    parentId: request.parentId,
    replyTo: request.replyTo,
    correlationId: request.correlationId,
  };
  return app.conf.resultExtended ? { ...stored, extended: extended(request) } : stored;
}

function extended(request: TaskRequest): NonNullable<ResultRecord['extended']> {
  const fields = {
    name: request.task,
    args: request.args,
    kwargs: request.kwargs,
    worker: request.hostname,
    retries: request.retries,
    queue: request.deliveryInfo.routingKey,
  };
  return request.stampedHeaders === null ? fields : { ...fields, stamps: request.stamps };
}

export function startedRecord(
  app: Celery,
  request: TaskRequest,
  meta: { readonly pid: number; readonly hostname: string },
): ResultRecord {
  return record(app, request, 'STARTED', meta, { ready: false });
}

/** A handle that a task returns is stored as its serialized form. */
export function successRecord(
  app: Celery,
  request: TaskRequest,
  value: unknown,
  children: readonly ResultTuple[],
): ResultRecord {
  return record(app, request, 'SUCCESS', value === undefined ? null : value, { ready: true, children });
}

export function failureRecord(
  app: Celery,
  request: TaskRequest,
  error: ExceptionRecord,
  traceback: string | null,
  children: readonly ResultTuple[] = [],
): ResultRecord {
  return record(app, request, 'FAILURE', error, { ready: true, traceback, children });
}

export function retryRecord(
  app: Celery,
  request: TaskRequest,
  outcome: Pick<RetryOutcome, 'record' | 'traceback'>,
): ResultRecord {
  return record(app, request, 'RETRY', outcome.record, { ready: false, traceback: outcome.traceback });
}

export function revokedRecord(
  app: Celery,
  request: TaskRequest,
  reason: 'revoked' | 'expired' | 'terminated',
): ResultRecord {
  const error = { exc_type: 'TaskRevokedError', exc_message: [reason], exc_module: 'celery.exceptions' };
  return record(app, request, 'REVOKED', error, { ready: true });
}

/** A state of the application's own, as `ctx.update()` stores it. */
export function customRecord(app: Celery, request: TaskRequest, state: string, meta: unknown): ResultRecord {
  return record(app, request, state, meta, { ready: false });
}

/** Calls one hook of the task; what it throws is logged. */
export function runHook<N extends keyof TaskHooks>(
  app: Celery,
  task: RegisteredTask,
  name: N,
  ...args: Parameters<NonNullable<TaskHooks[N]>>
): void | Promise<void> {
  const hook = task.options.hooks[name] as ((...args: unknown[]) => unknown) | undefined;
  return hook === undefined ? undefined : call(app, task, name, hook, args);
}

async function call(
  app: Celery,
  task: RegisteredTask,
  name: string,
  hook: (...args: unknown[]) => unknown,
  args: readonly unknown[],
): Promise<void> {
  try {
    await hook(...args);
  } catch (error) {
    app.log.error({ error, task: task.name, hook: name }, 'task hook failed');
  }
}
