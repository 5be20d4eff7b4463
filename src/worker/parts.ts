import type { Celery } from '../app/celery.ts';
import type { ResultBackend } from '../backends/backend.ts';
import type { EventDispatcher } from '../events/dispatcher.ts';
import type { Logger } from '../runtime/logger.ts';
import type { TimerQueue } from '../runtime/timers.ts';
import type { Acknowledgements } from './acknowledgements.ts';
import type { Losses } from './lost.ts';
import type { RevokedIds } from './revoked.ts';

/** What the duties of one worker share. */
export interface WorkerParts {
  readonly app: Celery;
  /** Node name, unique in the cluster: `celery@host`. */
  readonly hostname: string;
  readonly log: Logger;
  readonly events: EventDispatcher;
  readonly revoked: RevokedIds;
  /** Ids of tasks that succeeded here lately; undefined where nobody asks (`workerDeduplicateSuccessfulTasks`). */
  readonly successes: RevokedIds | undefined;
  readonly timers: TimerQueue;
  readonly backend: ResultBackend;
  readonly counters: Counters;
  readonly losses: Losses;
  readonly acknowledgements: Acknowledgements;
}

/** What happened so far; `stats` of remote control shows it. */
export interface Counters {
  /** Runs begun, by display name. */
  readonly total: Map<string, number>;
  /** Messages refused because they could not be read. */
  malformed: number;
  unknown: number;
  leasesLost: number;
  connects: number;
}
