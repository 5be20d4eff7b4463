import { sleep, systemClock } from '../runtime/clock.ts';
import { ContractViolation } from './runner.ts';

const STEP_MS = 5;
const DEADLINE_MS = 15_000;

/** Waits until `check` holds. @throws {ContractViolation} when it does not within 15 seconds */
export async function eventually(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = systemClock.monotonic() + DEADLINE_MS;
  while (!(await check())) {
    if (systemClock.monotonic() > deadlineMs) throw new ContractViolation(`waited in vain: ${what}`);
    await sleep(systemClock, STEP_MS);
  }
}

/** Gives what should not happen the time to happen. */
export async function quietly(ms = 150): Promise<void> {
  await sleep(systemClock, ms);
}
