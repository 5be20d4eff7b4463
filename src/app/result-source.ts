import type { ResultRecord } from '../backends/backend.ts';
import { UsageError } from '../errors.ts';
import { fromExceptionRecord } from '../protocol/exception.ts';
import { resultFrom } from '../result/result-from.ts';
import type { ResultSource } from '../result/source.ts';
import type { Celery } from './celery.ts';

/**
 * What the result handles of an app ask.
 * @param errors makes the application's own errors from their wire names
 */
export function resultSource(
  app: Celery,
  errors: ReadonlyMap<string, (args: readonly unknown[]) => Error>,
): ResultSource {
  return {
    clock: app.clock,
    backend: () => app.backend(),
    toError: (record: ResultRecord) => {
      const error = fromExceptionRecord(record.result, record.traceback, errors);
      if (app.conf.taskRemoteTracebacks && record.traceback !== null) {
        error.stack = `${error.stack ?? error.message}\n\nIn the worker:\n${record.traceback}`;
      }
      return error;
    },
    fromTuple: (tuple) => resultFrom(app.results, tuple),
    refuseInTask: () => {
      const run = app.lineage.current;
      if (run === undefined || run.joinAllowed || run.request.calledDirectly || run.request.isEager) return;
      throw new UsageError(
        'never wait for a result inside a task: it may block the worker for good. ' +
          'Make what follows a chain or callback, or pass allowInTask: true',
      );
    },
    revokeByStamp: async (stamps, { terminate, signal }) => {
      await app.control.revokeByStamp(stamps, {
        ...(terminate === undefined ? {} : { terminate }),
        ...(signal === undefined ? {} : { signal }),
      });
    },
    revoke: async (ids, { terminate, signal }) => {
      await app.control.revoke(ids, {
        ...(terminate === undefined ? {} : { terminate }),
        ...(signal === undefined ? {} : { signal }),
      });
    },
  };
}
