import type { Celery } from '../app/celery.ts';
import type { RetryRequest } from '../app/context.ts';
import type { TaskRequest } from '../app/request.ts';
import type { RegisteredTask } from '../app/task.ts';
import { failure, type Outcome } from '../app/trace.ts';
import {
  CeleryError,
  ConnectionLost,
  ContentDisallowed,
  DecodeError,
  InvalidTaskError,
  LeaseLostError,
  ShutdownAbort,
} from '../errors.ts';
import { fromExceptionRecord, toExceptionRecord, type ExceptionRecord } from '../protocol/exception.ts';
import type { ResultTuple } from '../protocol/result.ts';
import { safeRepr } from '../protocol/safe-repr.ts';
import { dumps, loads } from '../serializers/json.ts';
import type { WireOutcome } from './wire.ts';

const NO_CHILDREN: readonly ResultTuple[] = Object.freeze([]);

/** Whether JSON has it as it is, without looking inside. */
function isPlain(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isSafeInteger(value) ? value !== 0 || 1 / value > 0 : Number.isFinite(value) && value % 1 !== 0;
    default:
      return value === null || value === undefined;
  }
}

/** An outcome for the parent. A value that cannot be written fails the task, unless nobody wants it. */
export function encodeOutcome(app: Celery, task: RegisteredTask, request: TaskRequest, outcome: Outcome): WireOutcome {
  switch (outcome.kind) {
    case 'success': {
      const children = outcome.children.length === 0 ? {} : { children: dumps(outcome.children) };
      const { value } = outcome;
      if (isPlain(value)) return { kind: 'success', value: value === undefined ? null : value, ...children };
      try {
        return { kind: 'success', json: dumps(value), ...children };
      } catch (error) {
        const unwanted = (request.ignoreResult ?? task.options.ignoreResult) && !isFollowed(request);
        if (unwanted) return { kind: 'success', value: safeRepr(value), ...children };
        return encodeOutcome(app, task, request, failure(app, task, error, outcome.children));
      }
    }
    case 'failure': {
      const { record, traceback, expected, children } = outcome;
      return {
        kind: 'failure',
        record: dumps(record),
        traceback,
        expected,
        ...(children.length === 0 ? {} : { children: dumps(children) }),
      };
    }
    case 'retry': {
      const { retry, record, traceback } = outcome;
      try {
        return { kind: 'retry', retry: dumps(retry), record: record === null ? null : dumps(record), traceback };
      } catch (error) {
        return encodeOutcome(app, task, request, failure(app, task, error));
      }
    }
    default:
      return outcome;
  }
}

/** Whether something waits for what the task returns. */
export function isFollowed({ callbacks, errbacks, chain, chord }: TaskRequest): boolean {
  return callbacks !== null || errbacks !== null || chain !== null || chord !== null;
}

/** The outcome as if the task had run here. @throws what `Pool.run` says, for a message that could not be read */
export function decodeOutcome(app: Celery, outcome: WireOutcome): Outcome {
  switch (outcome.kind) {
    case 'success':
      return {
        kind: 'success',
        value: outcome.json === undefined ? outcome.value : loads(outcome.json),
        children: childrenOf(outcome.children),
      };
    case 'failure': {
      const record = loads(outcome.record) as ExceptionRecord;
      const { traceback, expected } = outcome;
      const error = errorOf(app, record, traceback);
      return { kind: 'failure', record, traceback, expected, error, children: childrenOf(outcome.children) };
    }
    case 'retry': {
      const record = outcome.record === null ? null : (loads(outcome.record) as ExceptionRecord);
      const retry = loads(outcome.retry) as RetryRequest;
      const { traceback } = outcome;
      return { kind: 'retry', retry, record, traceback, error: record && errorOf(app, record, traceback) };
    }
    case 'unreadable':
      throw unreadable(outcome.code, outcome.reason);
    default:
      return outcome;
  }
}

function childrenOf(text: string | undefined): readonly ResultTuple[] {
  return text === undefined ? NO_CHILDREN : (loads(text) as ResultTuple[]);
}

function errorOf(app: Celery, record: ExceptionRecord, traceback: string | null): Error {
  return app.results.toError({
    taskId: '',
    status: 'FAILURE',
    result: record,
    traceback,
    children: [],
    dateDone: null,
  });
}

export function encodeUnreadable(error: unknown): WireOutcome {
  const code = CeleryError.is(error) ? error.code : 'ERR_INVALID_TASK';
  return { kind: 'unreadable', code, reason: error instanceof Error ? error.message : String(error) };
}

function unreadable(code: string, reason: string): Error {
  if (code === 'ERR_CONTENT_DISALLOWED') return new ContentDisallowed(reason);
  return code === 'ERR_INVALID_TASK' ? new InvalidTaskError(reason) : new DecodeError(reason);
}

/** The reason of an abort, on its way to `ctx.signal`. */
export function encodeReason(reason: unknown): string {
  return dumps(toExceptionRecord(reason));
}

export function decodeReason(text: string): Error {
  const record = loads(text) as ExceptionRecord;
  const own = OWN_REASONS[record.exc_type];
  return own === undefined ? fromExceptionRecord(record, null) : own(String(record.exc_message[0]));
}

/** Reasons that only a worker gives: in a child they are what they are in its own event loop. */
const OWN_REASONS: Readonly<Record<string, (message: string) => Error>> = {
  ShutdownAbort: () => new ShutdownAbort(),
  ConnectionLost: () => new ConnectionLost(),
  LeaseLostError: (message) => new LeaseLostError(message),
};
