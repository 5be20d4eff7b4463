import { CeleryError, type RemoteError } from '../errors.ts';
import { dumps } from '../serializers/json.ts';
import { pyRepr } from './repr.ts';

/*
 * Errors as Celery stores them: class name, module, arguments (spec: results.md 1.2).
 * A name is only ever looked up in lists: nothing that a message says is imported or called.
 */

/** An error in a stored result. Arguments are what the class would be constructed with. */
export interface ExceptionRecord {
  readonly exc_type: string;
  readonly exc_message: readonly unknown[];
  readonly exc_module: string | null;
}

/** Makes errors of the application's own classes, keyed by `module.Type`, e.g. `proj.errors.Boom`. */
export type ErrorRegistry = ReadonlyMap<string, (args: readonly unknown[]) => Error>;

/** Wire names of the application's own classes: class to `module.Type`. */
export type ErrorNames = ReadonlyMap<unknown, string>;

/** Module of JavaScript errors that Python has no namesake for. */
export const JS_ERRORS = 'js.errors';

/** Python's exceptions that take any arguments and mean the same in both languages. */
const BUILTINS: ReadonlySet<string> = new Set([
  'ArithmeticError',
  'AssertionError',
  'AttributeError',
  'BrokenPipeError',
  'BufferError',
  'ChildProcessError',
  'ConnectionAbortedError',
  'ConnectionError',
  'ConnectionRefusedError',
  'ConnectionResetError',
  'EOFError',
  'FileExistsError',
  'FileNotFoundError',
  'FloatingPointError',
  'ImportError',
  'IndexError',
  'InterruptedError',
  'IsADirectoryError',
  'KeyError',
  'LookupError',
  'MemoryError',
  'ModuleNotFoundError',
  'NameError',
  'NotADirectoryError',
  'NotImplementedError',
  'OSError',
  'OverflowError',
  'PermissionError',
  'ProcessLookupError',
  'RecursionError',
  'RuntimeError',
  'SyntaxError',
  'TimeoutError',
  'TypeError',
  'UnicodeError',
  'ValueError',
  'ZeroDivisionError',
]);

/** What Celery calls our own errors. */
const LIBRARY: ReadonlyMap<string, readonly [type: string, module: string]> = new Map([
  ['OperationalError', ['OperationalError', 'kombu.exceptions']],
  ['ImproperlyConfigured', ['ImproperlyConfigured', 'celery.exceptions']],
  ['DecodeError', ['DecodeError', 'kombu.exceptions']],
  ['ContentDisallowed', ['ContentDisallowed', 'kombu.exceptions']],
  ['EncodeError', ['EncodeError', 'kombu.exceptions']],
  ['InvalidTaskError', ['InvalidTaskError', 'celery.exceptions']],
  ['NotRegistered', ['NotRegistered', 'celery.exceptions']],
  ['ArgumentsError', ['TypeError', 'builtins']],
  ['ResultTimeoutError', ['TimeoutError', 'celery.exceptions']],
  ['SoftTimeLimitExceeded', ['SoftTimeLimitExceeded', 'billiard.exceptions']],
  ['MaxRetriesExceededError', ['MaxRetriesExceededError', 'celery.exceptions']],
  ['Ignore', ['Ignore', 'celery.exceptions']],
  ['Reject', ['Reject', 'celery.exceptions']],
  ['NotSupported', ['NotImplementedError', 'builtins']],
]);

const PYTHON_NAME = /^[A-Za-z_]\w*$/;

function sendable(arg: unknown): unknown {
  try {
    dumps(arg);
    return arg;
  } catch {
    return pyRepr(arg);
  }
}

function record(exc_type: string, exc_module: string | null, args: readonly unknown[]): ExceptionRecord {
  return { exc_type, exc_message: args.map(sendable), exc_module };
}

function libraryArgs(error: CeleryError): readonly unknown[] {
  if (error.name === 'SoftTimeLimitExceeded') return [];
  if (error.name === 'Reject') return [error.message, 'requeue' in error && error.requeue === true];
  return error.message === '' ? [] : [error.message];
}

function ownName(error: Error, names: ErrorNames | undefined): readonly [string, string] | undefined {
  const name = names?.get(error.constructor);
  if (name === undefined) return undefined;
  const dot = name.lastIndexOf('.');
  return dot < 0 ? [name, JS_ERRORS] : [name.slice(dot + 1), name.slice(0, dot)];
}

/** `name` when it was set to something better than its class inherits, else the class. */
function className(error: Error): string {
  const inherited = error.name === 'Error' ? error.constructor?.name : error.name;
  const name = inherited || 'Error';
  return PYTHON_NAME.test(name) ? name : 'Error';
}

/** By its shape: another copy of the library may have made it. */
function isRemote(error: Error): error is RemoteError {
  return CeleryError.is(error) && 'type' in error && 'module' in error && 'args' in error;
}

function recordOf(error: unknown, names: ErrorNames | undefined): ExceptionRecord {
  if (!(error instanceof Error)) return record('Error', JS_ERRORS, [typeof error === 'string' ? error : pyRepr(error)]);
  if (isRemote(error)) return record(error.type, error.module, error.args);
  const own = ownName(error, names);
  const args = error.message === '' ? [] : [error.message];
  if (own) return record(own[0], own[1], args);
  if (CeleryError.is(error)) {
    const library = LIBRARY.get(error.name);
    if (library) return record(library[0], library[1], libraryArgs(error));
  }
  const name = className(error);
  return record(name, BUILTINS.has(name) ? 'builtins' : JS_ERRORS, args);
}

/**
 * What is stored for an error. JavaScript errors with a namesake in Python get its name; the library's own those that
 * Celery gives them; errors from another worker the ones they came with; all others `js.errors`.
 * Arguments that JSON cannot hold are replaced by their text. Never throws.
 */
export function toExceptionRecord(error: unknown, names?: ErrorNames): ExceptionRecord {
  try {
    return recordOf(error, names);
  } catch {
    // A getter or proxy of the application's that throws.
    return record('Error', JS_ERRORS, ['<unrepresentable>']);
  }
}

/** `repr()` of an error as Python would print it, for events and logs: `ValueError('x')`. */
export function pythonRepr(error: unknown, names?: ErrorNames): string {
  const { exc_type, exc_message } = toExceptionRecord(error, names);
  return `${exc_type}(${exc_message.map(pyRepr).join(', ')})`;
}
