import { sleep } from '../runtime/clock.ts';
import type { ChordPart } from '../backends/backend.ts';
import { asDict, bodyOf, isChain, isChord, isGroup, listOf, tasksOf, withArgs } from '../canvas/dict.ts';
import { unreached } from '../canvas/leaves.ts';
import { ChordError, OperationalError } from '../errors.ts';
import { pythonRepr, toExceptionRecord, type ExceptionRecord } from '../protocol/exception.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { PROPAGATE_STATES } from '../result/states.ts';
import type { Celery } from './celery.ts';
import { descent, failureRecord, publishErrbacks } from './follow-up.ts';
import type { TaskRequest } from './request.ts';

/*
 * What the end of a task means for the chord it is in and for the chain behind it. Everything may be repeated: members
 * count once, bodies have fixed ids.
 */

const CLAIM_POLL_MS = 250;

/**
 * Counts a member of a chord's header that has ended. The one that completes the header sends the body, or, when a
 * member failed, fails it. Nothing happens for tasks outside chords, and where the backend does not count.
 * Source: `on_chord_part_return` (spec: results.md 3).
 */
export async function returnPart(app: Celery, request: TaskRequest, state: string, result: unknown): Promise<void> {
  const { chord, group, id, groupIndex } = request;
  if (chord === null || group === null) return;
  const backend = await app.backend();
  const { chords } = backend;
  if (chords === undefined) return;
  const part = { taskId: id, index: groupIndex, state, result };
  const claim = app.random.uuid();
  let members = await chords.add(group, part, claim);
  // A duplicate of the member that completed the header: nobody knows yet whether the other one gets the body out.
  while (members === 'claimed') {
    await sleep(app.clock, CLAIM_POLL_MS);
    members = await chords.add(group, part, claim);
  }
  if (members === undefined) return;
  const body = asDict(chord);
  const failed = members.find((member) => PROPAGATE_STATES.has(member.state));
  if (failed === undefined) {
    const values = await valuesOf(app, group, members);
    if (values instanceof ChordError) await failBody(app, request, body, values);
    else await sendBody(app, request, body, values);
  } else {
    const cause = errorOf(app, failed);
    const message = `Dependency ${failed.taskId} raised ${pythonRepr(cause, app.errorNames)}`;
    await failBody(app, request, body, new ChordError(message, null, cause));
  }
  await chords.end(group);
}

/** The values for the body, or the error that there are none. */
async function valuesOf(app: Celery, group: string, members: readonly ChordPart[]): Promise<unknown[] | ChordError> {
  const structure = await (await app.backend()).loadGroup(group);
  if (structure === undefined) return members.map(valueOf);
  try {
    return await joined(app, structure, members);
  } catch (cause) {
    if (cause instanceof OperationalError && cause.recoverable) throw cause;
    return new ChordError(`the header could not be joined: ${pythonRepr(cause, app.errorNames)}`, null, cause);
  }
}

function valueOf({ result }: ChordPart): unknown {
  return result;
}

function errorOf(app: Celery, { taskId, state: status, result }: ChordPart): Error {
  return app.results.toError({ taskId, status, result, traceback: null, children: [], dateDone: null });
}

/** Values in the shape of the header, where one of its members is a group. */
async function joined(app: Celery, group: ResultTuple, members: readonly ChordPart[]): Promise<unknown[]> {
  const values = new Map(members.map((member) => [member.taskId, member.result]));
  const valuesOf = async ([head, within]: ResultTuple): Promise<unknown> => {
    if (within !== null) return Promise.all(within.map(valuesOf));
    const id = typeof head === 'string' ? head : head[0];
    if (values.has(id)) return values.get(id);
    const timeout = app.conf.resultChordJoinTimeout * 1000;
    return app.result(id).get({ allowInTask: true, timeout });
  };
  return Promise.all((group[1] ?? []).map(valuesOf));
}

/** The body leaves for its queue; where it cannot, it fails. */
export async function sendBody(
  app: Celery,
  request: TaskRequest,
  body: SignatureDict,
  values: unknown[],
): Promise<void> {
  try {
    await app.sender.sendDetached(withArgs(body, [values]), descent(app, request));
  } catch (cause) {
    if (cause instanceof OperationalError && cause.recoverable) throw cause;
    await failBody(app, request, body, new ChordError(`Callback error: ${pythonRepr(cause)}`, null, cause));
  }
}

/** Whoever waits for the body, for a part of it or for what follows it, is told; the body's errbacks are called. */
export async function failBody(
  app: Celery,
  request: TaskRequest,
  body: SignatureDict,
  error: ChordError,
): Promise<void> {
  const record = toExceptionRecord(error, app.errorNames);
  const traceback = `${error.message}\n`;
  await failUnreached(app, request, [body, ...listOf(body.options['chain'])], 'FAILURE', record, traceback);
  for (const { call, errbacks } of failing(body)) {
    const failed = requestOf(request, call);
    await publishErrbacks(app, { ...failed, errbacks }, { error, traceback });
  }
}

/** Which errbacks a body that never ran calls, and for which task: a chain's for its end, a group's for each member. */
function failing(body: SignatureDict): { readonly call: SignatureDict; readonly errbacks: readonly SignatureDict[] }[] {
  const own = listOf(body.options['link_error']);
  if (isGroup(body)) return tasksOf(body).flatMap(failing);
  if (isChord(body))
    return failing(bodyOf(body)).map(({ call, errbacks }) => ({ call, errbacks: union(own, errbacks) }));
  if (!isChain(body)) return [{ call: body, errbacks: own }];
  const steps = tasksOf(body).map(asDict);
  const last = steps.at(-1);
  if (last === undefined) return [];
  const first = listOf(steps[0]?.options['link_error']);
  return failing(last).map(({ call }) => ({ call, errbacks: union(own, first) }));
}

function union(some: readonly SignatureDict[], more: readonly SignatureDict[]): SignatureDict[] {
  const seen = new Set(some.map((one) => JSON.stringify(one)));
  return [...some, ...more.filter((one) => !seen.has(JSON.stringify(one)))];
}

/**
 * Tasks that never run because `request` did not succeed: their results say so, and chords that count on them are told.
 * Source: `Backend.mark_as_failure`. Differs: it looks into groups and chords among the steps, so that no chord waits
 * for what cannot come.
 */
async function failUnreached(
  app: Celery,
  request: TaskRequest,
  steps: readonly SignatureDict[],
  state: string,
  record: ExceptionRecord,
  traceback: string | null,
): Promise<void> {
  if (steps.length === 0) return;
  const backend = await app.backend();
  for (const { call, counts } of steps.map(asDict).flatMap((step) => unreached(step))) {
    if (typeof call.options['task_id'] !== 'string') continue;
    const failed = requestOf(request, call);
    await backend.store({ ...failureRecord(app, failed, record, traceback), status: state });
    if (counts) await returnPart(app, failed, state, record);
  }
}

/** The request that a call would have been. */
function requestOf(request: TaskRequest, call: SignatureDict): TaskRequest {
  const { task_id: id, group_id: group, group_index: index, chord, reply_to: replyTo } = call.options;
  return {
    ...request,
    id: id as string,
    task: call.task,
    args: call.args,
    kwargs: call.kwargs,
    parentId: request.id,
    group: typeof group === 'string' ? group : null,
    groupIndex: typeof index === 'number' ? index : null,
    chord: (chord as SignatureDict | null | undefined) ?? null,
    chain: null,
    callbacks: null,
    errbacks: null,
    replyTo: typeof replyTo === 'string' ? replyTo : request.replyTo,
    correlationId: id as string,
  };
}

/** A task has ended without a success: its chord is told, and the rest of its chain fails with it. */
export async function failFollowers(
  app: Celery,
  request: TaskRequest,
  state: 'FAILURE' | 'REVOKED',
  record: ExceptionRecord,
  traceback: string | null,
): Promise<void> {
  await failUnreached(app, request, request.chain ?? [], state, record, traceback);
  await returnPart(app, request, state, record);
}
