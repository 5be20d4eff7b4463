import { UsageError } from '../errors.ts';
import { toIso } from '../protocol/time.ts';
import type { Schedule } from './schedule.ts';

/** Runs once, at one moment. Source: `django_celery_beat.clockedschedule.clocked`. */
export class Clocked implements Schedule {
  readonly atMs: number;

  constructor(atMs: number) {
    if (!Number.isFinite(atMs)) throw new UsageError('a clocked schedule needs a valid moment: clocked(new Date(…))');
    this.atMs = atMs;
  }

  /** That one moment, whether it has been or not: who runs it does not ask again. */
  next(): number {
    return this.atMs;
  }

  toString(): string {
    return `<clocked: ${toIso(this.atMs).replace('T', ' ')}>`;
  }
}

/**
 * Runs once. Only database schedules take it.
 *
 * @param at the moment, or its text in ISO 8601
 * @example
 * await schedules.create({ name: 'launch', task: 'site.open', schedule: clocked('2027-01-01T00:00:00Z') });
 */
export function clocked(at: Date | string): Clocked {
  return new Clocked(new Date(at).getTime());
}
