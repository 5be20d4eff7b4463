import type { ResultBackend, ResultRecord } from '../backends/backend.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { Clock } from '../runtime/clock.ts';
import type { AsyncResult } from './async-result.ts';

/** What handles need of the app they belong to. */
export interface ResultSource {
  readonly clock: Clock;
  backend(): Promise<ResultBackend>;
  /** The error a stored FAILURE, REVOKED or RETRY stands for. */
  toError(record: ResultRecord): Error;
  /** Rebuilds a handle from its serialized form. */
  fromTuple(tuple: ResultTuple): AsyncResult<unknown>;
  /** @throws {UsageError} inside a task, where waiting for another task may block the worker for good */
  refuseInTask(): void;
  /** Broadcasts `revoke` to the workers. */
  revoke(ids: readonly string[], options: RevokeOptions): Promise<void>;
  /** Broadcasts `revoke_by_stamped_headers` to the workers. */
  revokeByStamp(stamps: Stamps, options: RevokeOptions): Promise<void>;
}

/** Names of stamps and the values that are meant. */
export type Stamps = Readonly<Record<string, string | readonly string[]>>;

export interface RevokeOptions {
  /** Also end a run that has begun. */
  readonly terminate?: boolean;
  /** Signal for the child process. @default 'SIGTERM' */
  readonly signal?: string;
}
