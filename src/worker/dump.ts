import type { PoolSet } from '../pools/pool-set.ts';
import type { Executor } from './executor.ts';
import type { Intake } from './intake.ts';
import type { WorkerParts } from './parts.ts';
import type { Request } from './request.ts';

/** Lines for tasks in one dump; a worker may run thousands. */
const MOST_TASKS = 100;
const MOST_ARGS = 200;

/** What a dump looks at. */
export interface Dumped {
  readonly parts: WorkerParts;
  readonly executor: Executor;
  readonly intake: Intake;
  readonly pools: PoolSet;
}

/**
 * What a worker does right now, for a person: its tasks, where the code of each child process is, what keeps the event
 * loop busy. Source: `cry` of celery.utils.debug, and what a Node process has in place of threads.
 */
export async function dump({ parts, executor, intake, pools }: Dumped): Promise<string> {
  const running = [...executor.running];
  const nowMs = parts.app.clock.now();
  const tasks = running.slice(0, MOST_TASKS).map((request) => taskLine(request, nowMs));
  const more = running.length > MOST_TASKS ? [`  and ${running.length - MOST_TASKS} more`] : [];
  const waiting = `${executor.waiting.length} wait for a slot, ${intake.held.size} for their time`;
  return [
    `== ${parts.hostname}, process ${process.pid}: ${running.length} tasks run, ${waiting} ==`,
    ...tasks,
    ...more,
    ...(await childLines(pools)),
    ...loopLines(),
  ].join('\n');
}

function taskLine({ id, task, startedMs, pid, headers }: Request, nowMs: number): string {
  const since = startedMs === undefined ? 'about to begin' : `for ${((nowMs - startedMs) / 1000).toFixed(1)} s`;
  const shown = `${headers.argsrepr} ${headers.kwargsrepr}`.slice(0, MOST_ARGS);
  return `  ${task.name}[${id}] ${since}${pid === undefined ? '' : `, process ${pid}`}  ${shown}`;
}

async function childLines(pools: PoolSet): Promise<string[]> {
  const found = await Promise.all(pools.all.map(async (pool) => pool.stacks?.()));
  return found
    .flatMap((stacks) => [...(stacks ?? [])])
    .flatMap(([pid, stack]) => {
      if (stack === undefined) return [`== process ${pid}: waits ==`];
      if (typeof stack === 'string') return [`== process ${pid}: ${stack} ==`];
      return [`== process ${pid} ==`, ...stack.map((frame) => `  at ${frame}`)];
    });
}

function loopLines(): string[] {
  const counts = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1);
  const { rss, heapUsed } = process.memoryUsage();
  const megabytes = (bytes: number): string => `${Math.round(bytes / 1_000_000)} MB`;
  return [
    `== event loop: ${[...counts].map(([name, count]) => `${name} ${count}`).join(', ') || 'idle'} ==`,
    `== memory: ${megabytes(rss)} resident, ${megabytes(heapUsed)} of heap ==`,
  ];
}
