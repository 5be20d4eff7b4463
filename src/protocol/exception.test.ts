import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  ArgumentsError,
  CeleryError,
  ChordError,
  MaxRetriesExceededError,
  NotRegistered,
  RemoteError,
  SoftTimeLimitExceeded,
  TaskRevokedError,
  TimeLimitExceeded,
  WorkerLostError,
} from '../errors.ts';
import { formatTraceback, fromExceptionRecord, pythonRepr, toExceptionRecord } from './exception.ts';

class Boom extends Error {
  override name = 'Boom';
}
class ValueError extends Error {}

test.each<[unknown, string, string, unknown[]]>([
  [new TypeError('bad'), 'TypeError', 'builtins', ['bad']],
  [new ValueError('v'), 'ValueError', 'builtins', ['v']],
  [new RangeError('r'), 'RangeError', 'js.errors', ['r']],
  [new ReferenceError('r'), 'ReferenceError', 'js.errors', ['r']],
  [new Error('plain'), 'Error', 'js.errors', ['plain']],
  [new Error(''), 'Error', 'js.errors', []],
  [new Boom('b'), 'Boom', 'js.errors', ['b']],
  ['thrown text', 'Error', 'js.errors', ['thrown text']],
  [undefined, 'Error', 'js.errors', ['None']],
  [new NotRegistered('proj.x'), 'NotRegistered', 'celery.exceptions', ['proj.x']],
  [new ArgumentsError('missing 1'), 'TypeError', 'builtins', ['missing 1']],
  [new MaxRetriesExceededError('no more'), 'MaxRetriesExceededError', 'celery.exceptions', ['no more']],
  [new SoftTimeLimitExceeded(), 'SoftTimeLimitExceeded', 'billiard.exceptions', []],
  [new TimeLimitExceeded(3), 'TimeLimitExceeded', 'billiard.exceptions', [3]],
  [new WorkerLostError('gone'), 'WorkerLostError', 'billiard.exceptions', ['gone']],
  [new TaskRevokedError('expired'), 'TaskRevokedError', 'celery.exceptions', ['expired']],
  [new RemoteError('KeyError', 'builtins', ['k', 1], null), 'KeyError', 'builtins', ['k', 1]],
])('%s is stored as %s of %s', (error, type, module, args) => {
  expect(toExceptionRecord(error)).toEqual({ exc_type: type, exc_message: args, exc_module: module });
});

test('arguments that JSON cannot hold become text', () => {
  const error = new RemoteError('E', 'proj', [() => 1, { fine: 1 }], null);
  expect(toExceptionRecord(error).exc_message).toEqual(['<function <lambda>>', { fine: 1 }]);
});

test('classes of the application have the name they were registered with', () => {
  const names = new Map([[Boom, 'proj.errors.Boom']]);
  expect(toExceptionRecord(new Boom('x'), names)).toEqual({
    exc_type: 'Boom',
    exc_message: ['x'],
    exc_module: 'proj.errors',
  });
  const registry = new Map([['proj.errors.Boom', (args: readonly unknown[]): Error => new Boom(String(args[0]))]]);
  const restored = fromExceptionRecord(toExceptionRecord(new Boom('x'), names), 'trace\n', registry);
  expect(restored).toBeInstanceOf(Boom);
  expect(restored).toMatchObject({ message: 'x', traceback: 'trace\n' });
});

test('an error that is unknown here keeps type, module, arguments and traceback', () => {
  const error = fromExceptionRecord({ exc_type: 'ValueError', exc_message: ['x', 2], exc_module: 'builtins' }, 'tb\n');
  expect(error).toBeInstanceOf(RemoteError);
  expect(error).toMatchObject({
    type: 'ValueError',
    module: 'builtins',
    args: ['x', 2],
    traceback: 'tb\n',
    message: 'x, 2',
  });
});

test('a name is never looked up outside the lists', () => {
  for (const [exc_module, exc_type] of [
    ['os', 'system'],
    ['builtins', 'eval'],
    ['globalThis', 'Function'],
    ['__proto__', 'constructor'],
    [null, 'constructor'],
  ]) {
    const error = fromExceptionRecord({ exc_type, exc_message: ['rm -rf /'], exc_module }, null);
    expect(error.constructor).toBe(RemoteError);
  }
});

test('Celery’s own errors come back as ours, and go out again as they came', () => {
  const errors = [
    new TaskRevokedError('terminated'),
    new WorkerLostError('lost'),
    new TimeLimitExceeded(5),
    new SoftTimeLimitExceeded(),
    new ChordError('Dependency x raised'),
    new NotRegistered('proj.y'),
    new MaxRetriesExceededError('m'),
  ];
  for (const error of errors) {
    const record = toExceptionRecord(error);
    const restored = fromExceptionRecord(record, null);
    expect(restored.constructor).toBe(error.constructor);
    expect(toExceptionRecord(restored)).toEqual(record);
  }
});

test('an application class whose constructor throws falls back to the record', () => {
  const registry = new Map([
    [
      'p.E',
      (): Error => {
        throw new Error('no');
      },
    ],
  ]);
  expect(fromExceptionRecord({ exc_type: 'E', exc_message: [], exc_module: 'p' }, null, registry)).toBeInstanceOf(
    RemoteError,
  );
});

test('any stored value gives an error', () => {
  fc.assert(
    fc.property(fc.anything(), (stored) => {
      expect(fromExceptionRecord(stored, null)).toBeInstanceOf(CeleryError);
    }),
  );
  fc.assert(
    fc.property(fc.anything(), (thrown) => {
      expect(typeof toExceptionRecord(thrown).exc_type).toBe('string');
      expect(formatTraceback(thrown).endsWith('\n')).toBe(true);
    }),
  );
});

test('repr as Python prints it', () => {
  expect(pythonRepr(new TypeError("it's"))).toBe('TypeError("it\'s")');
  expect(pythonRepr(new NotRegistered('name'))).toBe("NotRegistered('name')");
  expect(pythonRepr(new RemoteError('KeyError', 'builtins', ['a', 1, null], null))).toBe("KeyError('a', 1, None)");
});

test('a traceback ends with the error, its cause comes before it', () => {
  const text = formatTraceback(new TypeError('outer', { cause: new Boom('inner') }));
  expect(text).toMatch(/^Traceback \(most recent call last\):\n {2}File ".*", line \d+, in .*\n/);
  expect(text).toContain('js.errors.Boom: inner\n\nThe above exception was the direct cause');
  expect(text.endsWith('\nTypeError: outer\n')).toBe(true);
});

test('an error whose message throws is still stored', () => {
  const hostile = new Error('x');
  Object.defineProperty(hostile, 'message', {
    get: () => {
      throw new Error('no');
    },
  });
  expect(toExceptionRecord(hostile)).toMatchObject({ exc_type: 'Error', exc_message: ['<unrepresentable>'] });
});

test('a long message does not slow the traceback down', () => {
  const text = formatTraceback(new Error(`   at ${'('.repeat(200_000)}`));
  expect(text.length).toBeLessThan(70_000);
});
