import type { AsyncResult } from './async-result.ts';

/** The result of a task that ran here, in this process. */
export interface EagerResult<out T> extends AsyncResult<T> {
  readonly eager: true;
}
