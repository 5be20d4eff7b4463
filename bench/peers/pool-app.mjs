// What children of the pools run.
import { Celery } from 'celeriac';

export const app = new Celery();
app.task('noop', { ignoreResult: true }, (_i) => undefined);

/** A fixed piece of work: on a busy machine a clock would count what others use. */
export function compute(rounds) {
  let sum = 0;
  for (let i = 0; i < rounds; i++) sum += i % 7;
  return sum;
}
app.task('compute', { ignoreResult: true }, compute);
