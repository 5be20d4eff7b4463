import type { Celery, CeleryOptions } from '../../src/index.ts';
import { poolApp } from './app.ts';

/** An app with a task that asks for a pool of its own. */
export function mixedApp(options: CeleryOptions = {}): Celery {
  const app = poolApp(options);
  app.task('pid in a process', { pool: 'process' }, () => process.pid);
  return app;
}

export const app = mixedApp();
