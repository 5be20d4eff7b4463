import { failFollowers, returnPart } from '../app/chord.ts';
import {
  failureRecord,
  publishCallbacks,
  publishErrbacks,
  publishRetry,
  retryRecord,
  revokedRecord,
  runHook,
  successRecord,
} from '../app/follow-up.ts';
import type { ResultRecord } from '../backends/backend.ts';
import type { TaskRequest } from '../app/request.ts';
import { failure, type Failure, type Outcome, type RetryOutcome, type Success } from '../app/trace.ts';
import { EncodeError, OperationalError, TimeLimitExceeded } from '../errors.ts';
import { pythonRepr, type ExceptionRecord } from '../protocol/exception.ts';
import { safeRepr } from '../protocol/safe-repr.ts';
import { tellEnded } from './telemetry.ts';
import type { WorkerParts } from './parts.ts';
import type { Request } from './request.ts';
import { viewOfUnread } from './unread.ts';

/*
 * Makes an outcome true. The order inside each case is the guarantee: the acknowledgement comes last, so a crash
 * between two steps repeats work and loses none.
 *
 * Never throws or rejects: what fails here is reported, and a message that was not acknowledged goes back to its queue.
 */
export function settle(parts: WorkerParts, request: Request, outcome: Outcome): Promise<void> | undefined {
  if (outcome.kind !== 'success' || !isAlone(parts, request)) return settleStepwise(parts, request, outcome);
  try {
    tellSucceeded(parts, request, outcome);
  } catch (error) {
    return internalError(parts, request, error);
  }
  acknowledge(parts, request);
  return undefined;
}

/** Nothing has to be waited for before the message of a task that succeeded is acknowledged. */
function isAlone({ app }: WorkerParts, request: Request): boolean {
  const { callbacks, chain, chord } = request.view as TaskRequest;
  const { onSuccess, afterReturn } = request.task.options.hooks;
  return (
    request.ignoresResult &&
    callbacks === null &&
    chain === null &&
    chord === null &&
    onSuccess === undefined &&
    afterReturn === undefined &&
    !app.signals.has('taskSuccess') &&
    (request.acknowledged || request.delivery.held() === true)
  );
}

async function settleStepwise(parts: WorkerParts, request: Request, outcome: Outcome): Promise<void> {
  try {
    if (!(await holds(parts, request))) return;
    switch (outcome.kind) {
      case 'success':
        return await succeeded(parts, request, outcome);
      case 'failure':
        return await failed(parts, request, outcome);
      case 'retry':
        return await retried(parts, request, outcome);
      case 'reject':
        return await rejected(parts, request, outcome.requeue, outcome.reason);
      case 'ignore':
        return await ignored(parts, request, outcome.reason);
    }
  } catch (error) {
    await internalError(parts, request, error);
  }
}

/** A message that somebody else may be running by now is neither stored nor acknowledged. */
async function holds(parts: WorkerParts, request: Request): Promise<boolean> {
  if (request.acknowledged) return true;
  if (request.leaseLost) return false;
  const held = request.delivery.held();
  if (held === true || (await held)) return true;
  // The driver may have told meanwhile.
  tellLeaseLost(parts, request);
  return false;
}

/** Counts, logs and reports it, once for each request. Monitors that do not know the event take no notice of it. */
export function tellLeaseLost({ counters, events, log }: WorkerParts, request: Request): void {
  if (request.leaseLost) return;
  request.leaseLost = true;
  counters.leasesLost++;
  const fields = { taskId: request.id, task: request.displayName, code: 'lease-lost' };
  if (request.startedMs === undefined) {
    log.warn(fields, 'lease lost before the task began: the message belongs to another worker now');
  } else {
    log.error(
      fields,
      'lease lost while the task ran: its result is dropped, the message belongs to another worker now',
    );
  }
  if (events.taskEvents && request.task.options.sendEvents) {
    events.send('lease-lost', { uuid: request.id, name: request.headers.task });
  }
}

async function succeeded(parts: WorkerParts, request: Request, outcome: Success): Promise<void> {
  const { app } = parts;
  const { task } = request;
  const view = request.view as TaskRequest;
  const sent =
    view.callbacks !== null || view.chain !== null ? await publishCallbacks(app, view, outcome.value) : undefined;
  const children = sent === undefined ? outcome.children : [...outcome.children, ...sent];
  try {
    if (!request.ignoresResult) await parts.backend.store(successRecord(app, view, outcome.value, children));
    if (view.chord !== null) await returnPart(app, view, 'SUCCESS', outcome.value);
  } catch (error) {
    if (!(error instanceof EncodeError)) throw error;
    return failed(parts, request, failure(app, task, error, children));
  }
  const { hooks } = task.options;
  if (hooks.onSuccess) await runHook(app, task, 'onSuccess', outcome.value, view);
  if (app.signals.has('taskSuccess')) {
    await app.signals.emit('taskSuccess', { ...eventOf(request, view), result: outcome.value });
  }
  if (hooks.afterReturn) await runHook(app, task, 'afterReturn', 'SUCCESS', outcome.value, view);
  tellSucceeded(parts, request, outcome);
  acknowledge(parts, request);
}

/** Tells monitors, the log and whoever measures. */
function tellSucceeded(parts: WorkerParts, request: Request, outcome: Success): void {
  const { events, log } = parts;
  const { task } = request;
  const tell = events.taskEvents && task.options.sendEvents;
  const logged = log.isLevelEnabled?.('info') ?? true;
  if (tell || logged) {
    const runtime = seconds(parts, request);
    const result = safeRepr(outcome.value, { maxLength: task.options.resultReprMax });
    if (tell) events.send('task-succeeded', { uuid: request.id, result, runtime });
    if (logged) log.info({ ...subject(request), runtime, result }, 'task succeeded');
  }
  tellEnded(parts, request, 'SUCCESS');
  parts.successes?.add(request.id);
}

async function failed(parts: WorkerParts, request: Request, outcome: Failure): Promise<void> {
  const timedOut = outcome.error instanceof TimeLimitExceeded;
  const { acksOnFailure, acksOnTimeout } = request.task.options;
  const acks = request.acknowledged || (timedOut ? acksOnTimeout : acksOnFailure);
  await announceFailure(parts, request, outcome, acks ? 'ack' : timedOut ? 'requeue' : 'reject');
  if (acks) acknowledge(parts, request);
  else refuse(parts, request, timedOut);
}

/**
 * Stores a failure, and tells everybody who waits for it or watches.
 * @param next how the message is going to be settled; one that goes back to its queue has not failed for those who watch
 */
export async function announceFailure(
  parts: WorkerParts,
  request: Request,
  outcome: Failure,
  next: 'ack' | 'reject' | 'requeue',
): Promise<void> {
  const { app, events, log } = parts;
  const { task } = request;
  const view = request.view as TaskRequest;
  const { record, traceback, error } = outcome;
  if (request.storesErrors) {
    await parts.backend.store(failureRecord(app, view, record, traceback, outcome.children));
  }
  if (view.chord !== null || view.chain !== null) await failFollowers(app, view, 'FAILURE', record, traceback);
  await publishErrbacks(app, view, outcome);
  await runHook(app, task, 'onFailure', error, view, traceback);
  if (app.signals.has('taskFailure')) {
    await app.signals.emit('taskFailure', { ...eventOf(request, view), error, record, traceback });
  }
  await runHook(app, task, 'afterReturn', 'FAILURE', error, view);
  if (next !== 'ack') tellRejected(parts, request, next === 'requeue');
  if (next !== 'requeue' && events.taskEvents && task.options.sendEvents) {
    events.send('task-failed', { uuid: request.id, exception: pythonRepr(error), traceback });
  }
  const fields = { ...subject(request), exception: pythonRepr(error) };
  if (outcome.expected) log.info(fields, 'task raised expected');
  else log.error({ ...fields, traceback }, 'task raised unexpected');
  tellEnded(parts, request, 'FAILURE');
}

async function retried(parts: WorkerParts, request: Request, outcome: RetryOutcome): Promise<void> {
  const { app, events, log } = parts;
  const { task } = request;
  const view = request.view as TaskRequest;
  await publishRetry(app, view, outcome.retry);
  if (request.storesErrors) await storeRetry(parts, request, retryRecord(app, view, outcome));
  await runHook(app, task, 'onRetry', outcome.error, view, outcome.traceback);
  if (app.signals.has('taskRetry')) {
    const { error: reason, traceback } = outcome;
    await app.signals.emit('taskRetry', { ...eventOf(request, view), reason, traceback });
  }
  if (events.taskEvents && task.options.sendEvents) {
    const exception = outcome.record === null ? 'None' : pythonRepr(outcome.error);
    events.send('task-retried', { uuid: request.id, exception, traceback: outcome.traceback });
  }
  log.info({ ...subject(request), retry: outcome.retry.message }, 'task retry');
  tellEnded(parts, request, 'RETRY');
  acknowledge(parts, request);
}

/** The next message is with the broker by now: without its record the task must still not be repeated twice. */
async function storeRetry(parts: WorkerParts, request: Request, record: ResultRecord): Promise<void> {
  try {
    await parts.backend.store(record);
  } catch (error) {
    parts.log.warn({ error, taskId: request.id, task: request.displayName }, 'RETRY could not be stored');
  }
}

/**
 * Nothing is stored for the task itself. What waits for its value can never run, and is told so.
 * Differs: Celery leaves a chord and the rest of a chain waiting for ever.
 */
async function ignored(parts: WorkerParts, request: Request, reason: string | undefined): Promise<void> {
  parts.log.info({ taskId: request.id, task: request.displayName, reason }, 'task ignored');
  const view = request.view as TaskRequest | undefined;
  if (reason !== undefined && view !== undefined && (view.chord !== null || view.chain !== null)) {
    const record = { exc_type: 'Ignore', exc_message: [reason], exc_module: 'celery.exceptions' };
    await failFollowers(parts.app, view, 'FAILURE', record, null);
  }
  tellEnded(parts, request, 'IGNORED');
  acknowledge(parts, request);
}

async function rejected(parts: WorkerParts, request: Request, requeue: boolean, reason: string): Promise<void> {
  const { app } = parts;
  parts.log.info({ taskId: request.id, task: request.displayName, requeue, reason }, 'task rejected');
  if (!requeue || request.acknowledged) {
    const record = { exc_type: 'Reject', exc_message: [reason], exc_module: 'celery.exceptions' };
    const view = request.view as TaskRequest;
    if (request.storesErrors) await parts.backend.store(failureRecord(app, view, record, null));
    await failFollowers(app, view, 'FAILURE', record, null);
  }
  tellEnded(parts, request, 'REJECTED');
  reject(parts, request, requeue);
}

/** A task that will not run, or was ended: REVOKED. Source: `Request._announce_revoked`. */
export async function settleRevoked(
  parts: WorkerParts,
  request: Request,
  reason: 'revoked' | 'expired' | 'terminated',
): Promise<void> {
  const { app, events } = parts;
  const revoked = {
    terminated: reason === 'terminated',
    signum: request.termination?.signum ?? null,
    expired: reason === 'expired',
  };
  try {
    const view = request.view ?? (await viewOfUnread(parts, request.delivery, request.headers, request.body));
    if (events.taskEvents && request.task.options.sendEvents) {
      events.send('task-revoked', { uuid: request.id, ...revoked });
    }
    const record = revokedRecord(app, view, reason);
    if (request.storesErrors) await parts.backend.store(record);
    await failFollowers(app, view, 'REVOKED', record.result as ExceptionRecord, null);
    if (app.signals.has('taskRevoked')) {
      await app.signals.emit('taskRevoked', { sender: request.task.name, request: view, ...revoked });
    }
    parts.log.info({ ...subject(request), reason }, 'discarding revoked task');
    tellEnded(parts, request, 'REVOKED');
    acknowledge(parts, request);
  } catch (error) {
    await internalError(parts, request, error);
  }
}

/**
 * A run that was cut short by its worker. A late-ack message goes back to its queue and runs again; of one that was
 * acknowledged RETRY is all that is left.
 *
 * Source: `Request._announce_cancelled`. Differs: after a lost connection Celery stores RETRY for late-ack messages as
 * well, although another worker may have ended the task by then.
 */
export async function settleCancelled(parts: WorkerParts, request: Request, reason: Error): Promise<void> {
  const { app, events, log } = parts;
  const { task } = request;
  try {
    if (events.taskEvents && task.options.sendEvents) events.send('task-cancelled', { uuid: request.id });
    log.warn({ taskId: request.id, task: request.displayName, reason: reason.message }, 'task cancelled');
    tellEnded(parts, request, 'RETRY');
    if (request.acknowledged) return await leaveRetry(parts, request, reason);
    request.acknowledged = true;
    // Most brokers have put it back by themselves; one whose leases outlive a connection has to be told.
    await request.delivery.reject({ requeue: true }).catch(() => undefined);
  } catch (error) {
    log.error({ error, taskId: request.id, task: request.displayName, app: app.main }, 'a task was cancelled badly');
  }
}

async function leaveRetry(parts: WorkerParts, request: Request, reason: Error): Promise<void> {
  const { app } = parts;
  const { task } = request;
  const view = request.view ?? (await viewOfUnread(parts, request.delivery, request.headers, request.body));
  const record = { exc_type: 'Retry', exc_message: ['cancelled by Celery'], exc_module: 'celery.exceptions' };
  if (request.storesErrors) await storeRetry(parts, request, retryRecord(app, view, { record, traceback: null }));
  await runHook(app, task, 'onRetry', reason, view, null);
  if (app.signals.has('taskRetry')) {
    await app.signals.emit('taskRetry', { ...eventOf(request, view), reason, traceback: null });
  }
}

/**
 * Something outside the task's body failed. What may work again later (broker or backend away) goes back to the
 * queue; anything else would fail for ever, so it ends as FAILURE.
 */
async function internalError(parts: WorkerParts, request: Request, error: unknown): Promise<void> {
  const { app, log } = parts;
  const again = error instanceof OperationalError && error.recoverable;
  const fields = { error, taskId: request.id, task: request.displayName };
  if (again) log.error(fields, 'what follows the task failed: it will be repeated');
  else log.error(fields, 'what follows the task failed: the task is marked as failed');
  const { id: taskId, view } = request;
  if (app.signals.has('taskInternalError') && view) {
    await app.signals.emit('taskInternalError', { sender: request.task.name, taskId, request: view, error });
  }
  if (again) return reject(parts, request, true);
  if (view) {
    const { record, traceback } = failure(app, request.task, error);
    try {
      if (request.storesErrors) await parts.backend.store(failureRecord(app, view, record, traceback));
      await failFollowers(app, view, 'FAILURE', record, traceback);
    } catch (unstored) {
      log.error({ ...fields, error: unstored }, 'the failure could not be stored');
    }
  }
  acknowledge(parts, request);
}

/** What lines about a task say of it, for sinks that read fields; the text of a line names the task alone. */
function subject({ id, displayName, headers }: Request): Readonly<Record<string, unknown>> {
  return { taskId: id, task: displayName, args: headers.argsrepr, kwargs: headers.kwargsrepr };
}

/** Not awaited: acknowledgements of one tick travel together, and the slot is free meanwhile. */
export function acknowledge(parts: WorkerParts, request: Request): void {
  if (request.acknowledged) return;
  request.acknowledged = true;
  parts.acknowledgements.follow(request, request.delivery.ack());
}

/** Refuses the message, unless it was settled before; monitors hear of it. */
export function reject(parts: WorkerParts, request: Request, requeue: boolean): void {
  if (request.acknowledged) return;
  tellRejected(parts, request, requeue);
  refuse(parts, request, requeue);
}

function tellRejected({ events }: WorkerParts, request: Request, requeue: boolean): void {
  if (!events.taskEvents || !request.task.options.sendEvents) return;
  events.send('task-rejected', { uuid: request.id, requeue });
}

function refuse(parts: WorkerParts, request: Request, requeue: boolean): void {
  if (request.acknowledged) return;
  request.acknowledged = true;
  parts.acknowledgements.follow(request, request.delivery.reject({ requeue }));
}

function eventOf(
  request: Request,
  view: TaskRequest,
): {
  sender: string;
  taskId: string;
  task: Request['task'];
  request: TaskRequest;
} {
  return { sender: request.task.name, taskId: request.id, task: request.task, request: view };
}

function seconds(parts: WorkerParts, request: Request): number {
  return (parts.app.clock.now() - (request.startedMs ?? parts.app.clock.now())) / 1000;
}
