import { Celery } from 'celeriac';

export const app = new Celery();
/** Keeps its process busy, as a long computation does. */
export const spin = app.task('math.spin', (/** @type {number} */ ms) => {
  const end = performance.now() + ms;
  while (performance.now() < end);
});
