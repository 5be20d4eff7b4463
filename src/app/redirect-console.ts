import { captureConsole } from '../runtime/console-capture.ts';
import type { LogLevel } from '../runtime/logger.ts';
import type { Celery } from './celery.ts';

const LEVELS: Readonly<Record<string, LogLevel>> = {
  debug: 'debug',
  info: 'info',
  warning: 'warn',
  warn: 'warn',
  error: 'error',
  critical: 'fatal',
  fatal: 'fatal',
};

/**
 * Where the settings say so (`workerRedirectStdouts`), what code writes with `console` goes to the app's log, with the
 * task it was written in; what a task writes to standard output too. Without `workerHijackRootLogger` only tasks do. @returns a function that ends it; harmless twice
 */
export function redirectConsole(app: Celery): () => void {
  const { workerHijackRootLogger, workerRedirectStdouts, workerRedirectStdoutsLevel } = app.conf;
  if (!workerRedirectStdouts) return () => {};
  const inTask = (): boolean => app.lineage.current !== undefined;
  // A logger of the author's own may write to standard output itself.
  const ours = 'attach' in app.log && !app.signals.has('setupLogging');
  return captureConsole({
    log: app.log,
    ...(!workerHijackRootLogger && { wanted: inTask }),
    ...(ours && { stdout: { stream: process.stdout, mine: inTask } }),
    level: LEVELS[workerRedirectStdoutsLevel.toLowerCase()] ?? 'warn',
    fields: () => {
      const request = app.lineage.current?.request;
      return request === undefined ? {} : { taskId: request.id, task: request.task, rootId: request.rootId };
    },
  });
}
