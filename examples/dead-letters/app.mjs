// The app in a module of its own: the worker's children load it too.
import { existsSync } from 'node:fs';
import { Celery } from 'celeriac';

export const app = new Celery();

/** A native library that takes its whole process down, until somebody repairs it. */
export const thumbnail = app.task('image.thumbnail', (/** @type {string} */ repaired) => {
  if (!existsSync(repaired)) process.exit(139);
  return 'small';
});
