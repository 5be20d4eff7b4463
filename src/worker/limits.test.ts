import { expect, test } from 'vitest';
import { Cancellation } from '../runtime/cancellation.ts';
import { silentLogger } from '../runtime/logger.ts';
import { TimerQueue } from '../runtime/timers.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { startLimits, type DefaultLimits } from './limits.ts';
import type { WorkerParts } from './parts.ts';
import type { Request } from './request.ts';

const NONE: DefaultLimits = { timeLimitMs: null, softTimeLimitMs: null };

/** Milliseconds after which the soft and the hard limit of a run came. */
async function limitsOf(
  call: readonly [hard: number | null, soft: number | null],
  task: DefaultLimits,
  worker: DefaultLimits,
): Promise<{ soft: number | undefined; hard: number | undefined }> {
  const clock = new ManualClock();
  const startedMs = clock.now();
  const cancellation = new Cancellation();
  const seen: { soft: number | undefined; hard: number | undefined } = { soft: undefined, hard: undefined };
  cancellation.whenAborted(() => (seen.soft = clock.now() - startedMs));
  const request = {
    id: 'x',
    displayName: 'x',
    headers: { timelimit: call },
    task: { options: task },
    startedMs,
    cancellation,
  };
  const parts = { timers: new TimerQueue(clock), log: silentLogger } as unknown as WorkerParts;
  startLimits(parts, request as unknown as Request, worker, () => (seen.hard = clock.now() - startedMs));
  await clock.advance('1h');
  return seen;
}

const both = (timeLimitMs: number, softTimeLimitMs: number): DefaultLimits => ({ timeLimitMs, softTimeLimitMs });

test.each([
  ['none', [null, null], NONE, NONE, { soft: undefined, hard: undefined }],
  ['the worker’s', [null, null], NONE, both(40_000, 30_000), { soft: 30_000, hard: 40_000 }],
  [
    'the task’s over the worker’s',
    [null, null],
    both(20_000, 10_000),
    both(40_000, 30_000),
    { soft: 10_000, hard: 20_000 },
  ],
  ['the call’s over the task’s', [6, 5], both(20_000, 10_000), both(40_000, 30_000), { soft: 5_000, hard: 6_000 }],
  ['each by itself', [6, null], both(20_000, 10_000), NONE, { soft: 10_000, hard: 6_000 }],
  ['0 in a call is none of its own', [0, 0], NONE, both(40_000, 30_000), { soft: 30_000, hard: 40_000 }],
] as const)('%s', async (_name, call, task, worker, expected) => {
  expect(await limitsOf(call, task, worker)).toEqual(expected);
});
