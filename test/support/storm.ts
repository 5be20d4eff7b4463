import { systemClock } from '../../src/runtime/clock.ts';

/** What came of publishing without pause to a broker that takes nothing. */
export interface Storm {
  readonly calls: number;
  /** Calls that did not fail. */
  readonly taken: number;
  readonly errors: readonly unknown[];
  readonly slowestMs: number;
  /** Growth of this process. */
  readonly grownMb: number;
}

/** Makes `width` calls at a time, again and again: two rounds at least, and for so long. */
export async function storm(send: () => Promise<unknown>, width: number, forMs: number): Promise<Storm> {
  const errors: unknown[] = [];
  let [calls, taken, slowestMs] = [0, 0, 0];
  const before = process.memoryUsage.rss();
  const startedMs = systemClock.monotonic();
  const one = async (): Promise<void> => {
    const sentMs = systemClock.monotonic();
    calls++;
    try {
      await send();
      taken++;
    } catch (error) {
      // Thousands of the same tell no more.
      if (errors.length < 1000) errors.push(error);
    }
    slowestMs = Math.max(slowestMs, systemClock.monotonic() - sentMs);
  };
  for (let round = 0; round < 2 || systemClock.monotonic() - startedMs < forMs; round++) {
    await Promise.all(Array.from({ length: width }, one));
  }
  const grownMb = (process.memoryUsage.rss() - before) / 2 ** 20;
  return { calls, taken, errors, slowestMs: Math.round(slowestMs), grownMb: Math.round(grownMb) };
}
