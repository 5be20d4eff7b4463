import { SoftTimeLimitExceeded, TimeLimitExceeded } from '../errors.ts';
import type { WorkerParts } from './parts.ts';
import type { Request } from './request.ts';

/** Limits for tasks that have none of their own. */
export interface DefaultLimits {
  readonly timeLimitMs: number | null;
  readonly softTimeLimitMs: number | null;
}

/**
 * Starts the time limits of a run that begins now. Whose word counts: the call's, else the task's (remote control
 * changes it), else the worker's.
 * @param onHard ends the run and settles it as failed
 */
export function startLimits(
  { timers, log }: WorkerParts,
  request: Request,
  defaults: DefaultLimits,
  onHard: (error: TimeLimitExceeded) => void,
): void {
  const [hardSeconds, softSeconds] = request.headers.timelimit;
  const { options } = request.task;
  const hardMs = hardSeconds ? hardSeconds * 1000 : (options.timeLimitMs ?? defaults.timeLimitMs);
  const softMs = softSeconds ? softSeconds * 1000 : (options.softTimeLimitMs ?? defaults.softTimeLimitMs);
  if (!hardMs && !softMs) return;
  const startedMs = request.startedMs as number;
  const fields = { taskId: request.id, task: request.displayName };
  if (softMs) {
    request.softTimer = timers.at(startedMs + softMs, () => {
      log.warn({ ...fields, softTimeLimit: softMs / 1000 }, 'soft time limit exceeded');
      request.cancellation?.abort(new SoftTimeLimitExceeded());
    });
  }
  if (hardMs) {
    request.hardTimer = timers.at(startedMs + hardMs, () => {
      log.error({ ...fields, timeLimit: hardMs / 1000 }, 'hard time limit exceeded');
      onHard(new TimeLimitExceeded(hardMs / 1000));
    });
  }
}
