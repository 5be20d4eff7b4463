import type { Random } from './random.ts';

export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/** Full jitter: a uniform delay in [0, min(capMs, baseMs * 2^attempt)); attempt 0 is the first wait. */
export function backoffMs(attempt: number, { baseMs, capMs }: Backoff, random: Random): number {
  return Math.floor(random.next() * Math.min(capMs, baseMs * 2 ** attempt));
}
