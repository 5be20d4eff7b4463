// What the pools cost: no-op tasks through each, the channel's ceiling beside them, and CPU-bound tasks on two processes
// beside the same work without a queue. `node pools.mjs [rounds] [tasks] [text that the rows' names have]`. On Redis if there
// is one, else on the embedded broker.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { redisServer } from './lib/redis-server.mjs';

const entry = fileURLToPath(import.meta.url);
const module = fileURLToPath(new URL('./peers/pool-app.mjs', import.meta.url));
/** What the rows below it are compared with. */
const BASES = new Set([
  'no-op, async, 100 at a time',
  'no-op, async, 2 at a time',
  '5 ms of work, 2 bare processes',
  '5 ms of work, 1 bare process',
]);

if (process.argv[2] === 'echo') {
  process.on('message', (batch) => process.send(batch.map(([number]) => ['done', number, null])));
} else if (process.argv[2] === 'work') {
  const { compute } = await import('./peers/pool-app.mjs');
  process.on('message', ({ rounds, n }) => {
    for (let i = 0; i < n; i++) compute(rounds);
    process.send('done');
  });
  process.send('up');
} else if (process.argv[2] === 'drain') {
  console.log(JSON.stringify(await drain(JSON.parse(process.argv[3]))));
  process.exit(0);
} else {
  await main(Number(process.argv[2] ?? 3), Number(process.argv[3] ?? 20_000), process.argv[4] ?? '');
}

/** Queues `n` tasks, then times a worker from the first to the last. */
async function drain({ broker, pool: name, children, slots, task, args, n }) {
  process.env.CELERY_BROKER_URL = process.env.CELERY_RESULT_BACKEND = broker;
  const { createPool, Worker } = await import('celeriac/worker');
  const { app } = await import('./peers/pool-app.mjs');
  const sent = { ignoreResult: true };
  for (let low = 0; low < n; low += 1000) {
    await Promise.all(Array.from({ length: Math.min(1000, n - low) }, () => app.send(task, args, sent)));
  }
  const concurrency = name === 'async' ? children * slots : children;
  const pool = createPool(name, app, { concurrency, slots, source: { module }, hostname: 'bench@here' });
  let begun;
  let used;
  let left = n;
  let over;
  const done = new Promise((resolve) => (over = resolve));
  const counted = new Proxy(pool, {
    get(target, key) {
      if (key === 'run') {
        return async (job, cancellation) => {
          if (begun === undefined) {
            begun = performance.now();
            used = process.cpuUsage();
          }
          const outcome = await target.run(job, cancellation);
          if (--left === 0) over();
          return outcome;
        };
      }
      const value = target[key];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const worker = new Worker(app, { pool: counted });
  await worker.start();
  await done;
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(used);
  await worker.stop();
  await app.close();
  return { perSecond: n / seconds, cpu: (user + system) / n };
}

/** A batch of the size of `slots` to a child and back, nothing else done. */
async function ceiling(children, slots, n) {
  const body = 'x'.repeat(81);
  const headers = {
    lang: 'js',
    task: 'noop',
    id: 'a'.repeat(36),
    root_id: 'a'.repeat(36),
    argsrepr: '()',
    kwargsrepr: '{}',
  };
  const forks = Array.from({ length: children }, () => fork(entry, ['echo'], { serialization: 'json' }));
  const begun = performance.now();
  await Promise.all(
    forks.map(async (child) => {
      for (let left = n / children; left > 0; left -= slots) {
        const back = new Promise((resolve) => child.once('message', resolve));
        child.send(Array.from({ length: slots }, (_, i) => [i, headers, body]));
        await back;
      }
    }),
  );
  const seconds = (performance.now() - begun) / 1000;
  for (const child of forks) child.kill();
  return { perSecond: n / seconds };
}

/** The same work as the tasks, done by processes that have nothing else to do: what is ideal on this machine now. */
async function ideal(children, rounds, n) {
  const forks = Array.from({ length: children }, () => fork(entry, ['work']));
  const answered = (child) => new Promise((resolve) => child.once('message', resolve));
  await Promise.all(forks.map(answered));
  const begun = performance.now();
  await Promise.all(
    forks.map((child) => {
      const done = answered(child);
      child.send({ rounds, n: Math.ceil(n / children) });
      return done;
    }),
  );
  const seconds = (performance.now() - begun) / 1000;
  for (const child of forks) child.kill();
  return { perSecond: n / seconds };
}

/** Rounds of `compute` that take about 5 ms here: the fastest of some tries. */
async function calibrated() {
  const { compute, app } = await import('./peers/pool-app.mjs');
  const some = 400_000;
  let fastest = Infinity;
  for (let i = 0; i < 50; i++) {
    const begun = performance.now();
    compute(some);
    fastest = Math.min(fastest, performance.now() - begun);
  }
  await app.close();
  return Math.round((5 / fastest) * some);
}

async function main(rounds, n, only) {
  const redis = await redisServer();
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-bench-'));
  let files = 0;
  const inProcess = async (options) => {
    const broker = redis ? redis.url : `sqlite:///${join(folder, `${++files}.db`)}`;
    const child = fork(entry, ['drain', JSON.stringify({ broker, ...options })], { silent: true });
    let output = '';
    child.stdout.on('data', (text) => (output += text));
    child.stderr.pipe(process.stderr);
    await new Promise((resolve) => child.once('exit', resolve));
    return JSON.parse(output);
  };
  const noop = { task: 'noop', args: [1], n };
  const rounds5ms = await calibrated();
  const heavy = Math.min(n, 2_000);
  const compute = { task: 'compute', args: [rounds5ms], n: heavy, slots: 1 };
  const cells = [
    ['no-op, async, 100 at a time', () => inProcess({ pool: 'async', children: 2, slots: 50, ...noop })],
    ['no-op, 2 processes x 50', () => inProcess({ pool: 'process', children: 2, slots: 50, ...noop })],
    ['no-op, 2 threads x 50', () => inProcess({ pool: 'thread', children: 2, slots: 50, ...noop })],
    ['channel alone, 2 processes x 50', () => ceiling(2, 50, n)],
    ['no-op, async, 2 at a time', () => inProcess({ pool: 'async', children: 2, slots: 1, ...noop })],
    ['no-op, 2 processes x 1', () => inProcess({ pool: 'process', children: 2, slots: 1, ...noop })],
    ['no-op, 2 threads x 1', () => inProcess({ pool: 'thread', children: 2, slots: 1, ...noop })],
    ['channel alone, 2 processes x 1', () => ceiling(2, 1, n)],
    ['5 ms of work, 2 bare processes', () => ideal(2, rounds5ms, heavy)],
    ['5 ms of work, 2 processes', () => inProcess({ pool: 'process', children: 2, ...compute })],
    ['5 ms of work, 2 processes x 16', () => inProcess({ pool: 'process', children: 2, ...compute, slots: 16 })],
    ['5 ms of work, 2 threads', () => inProcess({ pool: 'thread', children: 2, ...compute })],
    ['5 ms of work, 1 bare process', () => ideal(1, rounds5ms, heavy / 2)],
    ['5 ms of work, 1 process', () => inProcess({ pool: 'process', children: 1, ...compute, n: heavy / 2 })],
  ].filter(([label]) => label.includes(only));
  const measured = new Map(cells.map(([label]) => [label, []]));
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [label, run] of cells) measured.get(label).push(await run());
    }
  } finally {
    redis?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const median = (label, what) => {
    const values = measured.get(label).flatMap((one) => one[what] ?? []);
    return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
  };
  let base;
  for (const [label] of cells) {
    if (BASES.has(label)) base = label;
    const rate = Math.round(median(label, 'perSecond')).toString().padStart(8);
    const ratio = (median(label, 'perSecond') / median(base, 'perSecond')).toFixed(2);
    const cpu = median(label, 'cpu');
    const cost = cpu === undefined ? '' : `${Math.round(cpu)} us of the worker's CPU each`;
    console.log(`${label.padEnd(34)} ${rate}/s   ${ratio}   ${cost}`);
  }
}
