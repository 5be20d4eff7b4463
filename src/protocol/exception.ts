import {
  ChordError,
  MaxRetriesExceededError,
  NotRegistered,
  RemoteError,
  SoftTimeLimitExceeded,
  TaskRevokedError,
  TimeLimitExceeded,
  WorkerLostError,
} from '../errors.ts';
import type { ErrorRegistry, ExceptionRecord } from './exception-record.ts';
import { pyRepr } from './repr.ts';

export {
  pythonRepr,
  toExceptionRecord,
  type ErrorNames,
  type ErrorRegistry,
  type ExceptionRecord,
} from './exception-record.ts';
export { formatTraceback } from './traceback.ts';

type Restore = (args: readonly unknown[], traceback: string | null) => Error;

function firstText(args: readonly unknown[], fallback: string): string {
  return args.length > 0 ? String(args[0]) : fallback;
}

const KNOWN: ReadonlyMap<string, Restore> = new Map<string, Restore>([
  [
    'celery.exceptions.TaskRevokedError',
    (args, traceback) => new TaskRevokedError(firstText(args, 'revoked'), traceback),
  ],
  ['celery.exceptions.ChordError', (args, traceback) => new ChordError(firstText(args, 'ChordError'), traceback)],
  ['celery.exceptions.NotRegistered', (args) => new NotRegistered(firstText(args, '?'))],
  [
    'celery.exceptions.MaxRetriesExceededError',
    (args) => new MaxRetriesExceededError(firstText(args, 'retries exceeded')),
  ],
  [
    'billiard.exceptions.WorkerLostError',
    (args, traceback) => new WorkerLostError(firstText(args, 'worker lost'), traceback),
  ],
  ['billiard.exceptions.SoftTimeLimitExceeded', () => new SoftTimeLimitExceeded()],
  [
    'billiard.exceptions.TimeLimitExceeded',
    (args, traceback) =>
      typeof args[0] === 'number'
        ? new TimeLimitExceeded(args[0], traceback)
        : remote('TimeLimitExceeded', 'billiard.exceptions', args, traceback),
  ],
]);

function remote(type: string, module: string | null, args: readonly unknown[], traceback: string | null): RemoteError {
  return new RemoteError(type, module, args, traceback);
}

/** What the stored text of a failure without a readable record becomes. */
function unreadable(stored: unknown, traceback: string | null): RemoteError {
  const args = stored === null || stored === undefined ? [] : [typeof stored === 'string' ? stored : pyRepr(stored)];
  return remote('Exception', null, args, traceback);
}

/**
 * The error of a stored record: the application's own class when `registry` has it, the library's own where the name
 * is Celery's, else a `RemoteError` with type, module, arguments and traceback as stored. Never throws.
 */
export function fromExceptionRecord(stored: unknown, traceback: string | null, registry?: ErrorRegistry): Error {
  if (typeof stored !== 'object' || stored === null) return unreadable(stored, traceback);
  const { exc_type, exc_message, exc_module } = stored as Partial<Record<keyof ExceptionRecord, unknown>>;
  if (typeof exc_type !== 'string') return unreadable(stored, traceback);
  const module = typeof exc_module === 'string' ? exc_module : null;
  const args = Array.isArray(exc_message) ? (exc_message as unknown[]) : exc_message == null ? [] : [exc_message];
  const name = module === null ? exc_type : `${module}.${exc_type}`;
  try {
    const error = registry?.get(name)?.(args) ?? KNOWN.get(name)?.(args, traceback);
    if (error !== undefined) return withTraceback(error, traceback);
  } catch {
    // A class that refuses its stored arguments: the record itself is still worth showing.
  }
  return remote(exc_type, module, args, traceback);
}

function withTraceback(error: Error, traceback: string | null): Error {
  if (traceback !== null && !('traceback' in error)) {
    Object.defineProperty(error, 'traceback', { value: traceback, enumerable: false, configurable: true });
  }
  return error;
}
