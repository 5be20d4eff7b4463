// The app in a module of its own: the worker's children load it too. It starts nothing by being imported.
import { Celery } from 'celeriac';

export const app = new Celery();

/** Computes for a while without ever yielding: in the event loop it would hold up everything else. */
export const primes = app.task('math.primes', (below) => {
  const sieve = new Uint8Array(below);
  let count = 0;
  for (let n = 2; n < below; n++) {
    if (sieve[n]) continue;
    count++;
    for (let m = n * n; m < below; m += n) sieve[m] = 1;
  }
  return { count, pid: process.pid };
});

export const stuck = app.task('math.stuck', { timeLimit: '1s' }, () => {
  for (;;);
});
