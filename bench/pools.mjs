// What the pools cost: no-op tasks through each, the channel's ceiling beside them, and CPU-bound tasks on two processes.
// `node pools.mjs [rounds] [tasks]`. Everything on Redis if there is one, else on the embedded broker.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { redisServer } from './lib/redis-server.mjs';

const entry = fileURLToPath(import.meta.url);
const module = fileURLToPath(new URL('./peers/pool-app.mjs', import.meta.url));

if (process.argv[2] === 'echo') {
  process.on('message', (batch) => process.send(batch.map(([number]) => ['done', number, null])));
} else if (process.argv[2] === 'drain') {
  console.log(JSON.stringify(await drain(JSON.parse(process.argv[3]))));
  process.exit(0);
} else {
  await main(Number(process.argv[2] ?? 3), Number(process.argv[3] ?? 20_000));
}

/** Queues `n` tasks, then times a worker from the first to the last. */
async function drain({ broker, pool: name, children, slots, task, args, n }) {
  process.env.CELERY_BROKER_URL = process.env.CELERY_RESULT_BACKEND = broker;
  const { Worker } = await import('celeriac/worker');
  const { createPool } = await import('../dist/pools/names.js');
  const { app } = await import('./peers/pool-app.mjs');
  const sent = { ignoreResult: true };
  for (let low = 0; low < n; low += 1000) {
    await Promise.all(Array.from({ length: Math.min(1000, n - low) }, () => app.send(task, args, sent)));
  }
  const concurrency = name === 'async' ? children * slots : children;
  const pool = createPool(name, app, { concurrency, slots, source: { module }, hostname: 'bench@here' });
  let begun;
  let left = n;
  let over;
  const done = new Promise((resolve) => (over = resolve));
  const counted = new Proxy(pool, {
    get(target, key) {
      if (key === 'run') {
        return async (job, cancellation) => {
          begun ??= performance.now();
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
  await worker.stop();
  await app.close();
  return { perSecond: n / seconds, seconds };
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
  return { perSecond: n / seconds, seconds };
}

async function main(rounds, n) {
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
  const compute = { task: 'compute', args: [4_000_000], n: Math.min(n, 1_000), slots: 1 };
  const cells = [
    ['no-op, async, 100 at a time', () => inProcess({ pool: 'async', children: 2, slots: 50, ...noop })],
    ['no-op, 2 processes x 50', () => inProcess({ pool: 'process', children: 2, slots: 50, ...noop })],
    ['no-op, 2 threads x 50', () => inProcess({ pool: 'thread', children: 2, slots: 50, ...noop })],
    ['channel alone, 2 processes x 50', () => ceiling(2, 50, n)],
    ['no-op, async, 2 at a time', () => inProcess({ pool: 'async', children: 2, slots: 1, ...noop })],
    ['no-op, 2 processes x 1', () => inProcess({ pool: 'process', children: 2, slots: 1, ...noop })],
    ['no-op, 2 threads x 1', () => inProcess({ pool: 'thread', children: 2, slots: 1, ...noop })],
    ['channel alone, 2 processes x 1', () => ceiling(2, 1, n)],
    ['CPU-bound, 1 process', () => inProcess({ pool: 'process', children: 1, ...compute })],
    ['CPU-bound, 2 processes', () => inProcess({ pool: 'process', children: 2, ...compute })],
    ['CPU-bound, 2 threads', () => inProcess({ pool: 'thread', children: 2, ...compute })],
  ];
  const rates = new Map(cells.map(([label]) => [label, []]));
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [label, run] of cells) rates.get(label).push((await run()).perSecond);
    }
  } finally {
    redis?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const median = (label) => rates.get(label).toSorted((a, b) => a - b)[Math.floor(rounds / 2)];
  const base = (label) =>
    label.startsWith('CPU')
      ? 'CPU-bound, 1 process'
      : label.endsWith('x 50') || label.includes('100')
        ? cells[0][0]
        : cells[4][0];
  for (const [label] of cells) {
    const ratio = (median(label) / median(base(label))).toFixed(2);
    console.log(
      `${label.padEnd(34)} ${Math.round(median(label)).toString().padStart(8)}/s   ${ratio} x ${String(base(label))}`,
    );
  }
}
