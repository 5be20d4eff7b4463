import { until } from './until.ts';

/** How many of each kind keep the process alive: sockets, pipes, servers, children, timers. */
export type Resources = ReadonlyMap<string, number>;

/** Pass by on their own: requests in flight, what runs in the next turn. */
const PASSING = /Req(?:Wrap|uest)?$|^(?:Immediate|TickObject|CloseReq|GetAddrInfoReqWrap)$/;

/** What is open now. Things that do not keep the process alive (`unref`) do not count. */
export function openResources(): Resources {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    if (!PASSING.test(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/** What is open beyond `before`, as text: `2 TCPSocketWrap, 1 Timeout`; empty when nothing is. */
export function leaksSince(before: Resources): string {
  return [...openResources()]
    .map(([kind, count]) => [kind, count - (before.get(kind) ?? 0)] as const)
    .filter(([, more]) => more > 0)
    .map(([kind, more]) => `${more} ${kind}`)
    .join(', ');
}

/**
 * Runs `work`; fails when afterwards something is open that was not before. Closing may take a few turns.
 * @throws {Error} naming what is left
 */
export async function withoutLeaks<T>(work: () => Promise<T>, timeoutMs = 5_000): Promise<T> {
  const before = openResources();
  const value = await work();
  try {
    await until(() => leaksSince(before) === '', { message: 'everything is closed', timeoutMs });
  } catch (error) {
    throw new Error(`left open: ${leaksSince(before)}`, { cause: error });
  }
  return value;
}
