// What every peer's program shares: the shape of its answers. A peer prints one JSON line per answer.

/** Runs the operation named on the command line: `node peer.mjs '{"op":"enqueue", …}'`. */
export async function peer(operations) {
  const { op, ...options } = JSON.parse(process.argv[2]);
  const operation = operations[op];
  if (!operation) throw new Error(`expected one of ${Object.keys(operations).join(', ')}, got ${op}`);
  const answer = await operation(options);
  if (answer !== undefined) {
    console.log(JSON.stringify(answer));
    process.exit(0);
  }
}

/** Seconds and CPU seconds of `work`, for `n` tasks. */
export async function timed(n, work) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  return { n, seconds, perSecond: n / seconds, cpuMicrosEach: (used.user + used.system) / n };
}

/** Calls `run(i)` n times with `width` of them unfinished at any time. */
export async function inFlight(n, width, run) {
  let next = 0;
  const lane = async () => {
    while (next < n) await run(next++);
  };
  await Promise.all(Array.from({ length: Math.min(width, n) }, lane));
}

/** The worker's side of a drain: `hit()` in each task; prints rate, CPU and memory when `n` have run. */
export function counter(n) {
  let count = 0;
  let start;
  let cpu;
  return () => {
    if (count === 0) {
      start = performance.now();
      cpu = process.cpuUsage();
    }
    count++;
    if (count === 1 || count % 500 === 0) console.log(JSON.stringify({ count, at: Date.now() }));
    if (count !== n) return;
    const seconds = (performance.now() - start) / 1000;
    const used = process.cpuUsage(cpu);
    console.log(
      JSON.stringify({
        n,
        seconds,
        perSecond: n / seconds,
        cpuMicrosEach: (used.user + used.system) / n,
        peakRssMb: process.resourceUsage().maxRSS / 1024,
      }),
    );
  };
}

/** One after the other; milliseconds of each after a warm-up. */
export async function latencies(n, run, warmUp = 50) {
  const ms = [];
  for (let i = 0; i < n + warmUp; i++) {
    const start = performance.now();
    await run(i);
    if (i >= warmUp) ms.push(performance.now() - start);
  }
  ms.sort((a, b) => a - b);
  return { n, p50: ms[Math.floor(n * 0.5)], p99: ms[Math.floor(n * 0.99)] };
}
