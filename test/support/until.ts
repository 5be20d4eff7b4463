import { sleep, systemClock } from '../../src/runtime/clock.ts';

/** Resolves when `check` gives something true; a test never sleeps for a fixed time. */
export async function until<T>(
  check: () => T | Promise<T>,
  options: { readonly message: string; readonly timeoutMs?: number } = { message: 'the condition' },
): Promise<NonNullable<T>> {
  const timeoutMs = options.timeoutMs ?? 20_000;
  const deadlineMs = systemClock.monotonic() + timeoutMs;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (systemClock.monotonic() > deadlineMs) throw new Error(`waited ${timeoutMs} ms in vain: ${options.message}`);
    await sleep(systemClock, 10);
  }
}
