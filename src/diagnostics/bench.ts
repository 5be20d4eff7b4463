import type { Celery } from '../app/celery.ts';

/** Tasks between two lines. */
const EVERY = 1_000;

/**
 * Writes how fast tasks are run, every so many of them and at the end, with the memory before and after. Celery's
 * `C_BENCH` and `C_BENCH_EVERY`.
 * @returns ends it, and writes the sum
 */
export function benchmark(app: Celery, write: (line: string) => void, every: number = EVERY): () => void {
  const before = process.memoryUsage.rss();
  let firstMs: number | undefined;
  let batchMs = 0;
  let total = 0;
  const onReceived = (): void => {
    firstMs ??= batchMs = app.clock.monotonic();
  };
  const onDone = (): void => {
    total++;
    if (total % every !== 0) return;
    const nowMs = app.clock.monotonic();
    write(`* ${every} tasks in ${seconds(nowMs - batchMs)} (${rate(every, nowMs - batchMs)}), ${total} so far`);
    batchMs = nowMs;
  };
  const stops = [app.on('taskReceived', onReceived), app.on('taskPostrun', onDone)];
  return () => {
    for (const stop of stops) stop();
    const tookMs = app.clock.monotonic() - (firstMs ?? app.clock.monotonic());
    const after = process.memoryUsage.rss();
    write(
      `* ${total} tasks in ${seconds(tookMs)} (${rate(total, tookMs)}); memory ${megabytes(before)} → ${megabytes(after)}`,
    );
  };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
const rate = (count: number, ms: number): string => `${ms === 0 ? 0 : Math.round((count * 1000) / ms)}/s`;
const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(1)} MB`;
