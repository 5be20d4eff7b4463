// An app whose addresses hold a password; the test searches all that it makes the worker say.
import { Celery } from '../../src/index.ts';

export const app = new Celery({
  broker: process.env['SECRET_URL'],
  backend: process.env['SECRET_URL'],
  resultExtended: true,
});
app.task('works', () => 1);
app.task('fails', () => {
  throw new Error('no');
});
app.task('retries', { bind: true }, (ctx) => {
  if (ctx.retries === 0) throw ctx.retry({ countdown: '100ms', cause: new RangeError('not yet') });
  return ctx.retries;
});
