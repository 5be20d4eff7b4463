// Measures Celeriac beside the queues installed here: `node run.mjs --help`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ask, start } from './lib/processes.mjs';
import { rabbitServer } from './lib/rabbitmq-server.mjs';
import { redisServer } from './lib/redis-server.mjs';
import { report } from './lib/report.mjs';
import { peers } from './peers/index.mjs';

const { values: flags } = parseArgs({
  options: {
    broker: { type: 'string', default: 'memory,sqlite,redis' },
    only: { type: 'string', default: '' },
    peers: { type: 'string', default: '' },
    rounds: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log(`node run.mjs [--broker memory,sqlite,redis,rabbitmq] [--only enqueue,drain,processes,awaited,roundTrip,depth,start,idle,canvas]
             [--peers Celeriac,BullMQ,…] [--rounds 3] [--scale 1] [--json results.json]
Every cell runs once per round and peers take turns, so that a slow minute hits all alike. Medians; ratios to Celeriac.
--scale 0.1 shrinks every task count: a smoke run whose numbers mean nothing.`);
  process.exit(0);
}

const scale = Number(flags.scale);
const only = flags.only === '' ? undefined : new Set(flags.only.split(','));
const chosen = flags.peers === '' ? undefined : new Set(flags.peers.split(','));
const all = peers().filter((peer) => !chosen || chosen.has(peer.name));
const wanted = (workload) => !only || only.has(workload);
const tasks = (n, peer) => Math.max(100, Math.round((peer.slow ? n / 10 : n) * scale));

const folder = mkdtempSync(join(tmpdir(), 'celeriac-bench-'));
const redis = flags.broker.includes('redis') ? await redisServer() : undefined;
if (flags.broker.includes('redis') && !redis) console.error('no redis-server found: its rows are left out');
const rabbit = flags.broker.includes('rabbitmq') ? await rabbitServer() : undefined;
if (flags.broker.includes('rabbitmq') && !rabbit) console.error('no RabbitMQ found: its rows are left out');
let files = 0;

/** A broker with nothing in it. */
async function fresh(kind) {
  if (kind === 'rabbitmq') {
    await rabbit.empty();
    return rabbit.url;
  }
  if (kind === 'sqlite') return `sqlite:///${join(folder, `${++files}.db`)}`;
  const { hostname, port } = new URL(redis.url);
  spawnSync('redis-cli', ['-h', hostname, '-p', port, 'FLUSHALL'], { stdio: 'ignore' });
  return redis.url;
}

async function enqueue(peer, broker, mode, n) {
  return ask(peer.run({ op: 'enqueue', broker: await fresh(broker), mode, n: tasks(n, peer) }));
}

/** Puts `count` tasks into an empty broker. */
async function filled(peer, kind, count) {
  const broker = await fresh(kind);
  await ask(peer.run({ op: 'enqueue', broker, mode: peer.slow ? 'serial' : 'bulk', n: count }));
  return broker;
}

async function drain(peer, kind, concurrency, n) {
  const count = tasks(n, peer);
  const broker = await filled(peer, kind, count);
  const worker = start(peer.run({ op: 'worker', broker, concurrency, n: count }));
  try {
    for (;;) {
      const line = await worker.next();
      if (line.perSecond) return line;
    }
  } finally {
    await worker.stop();
  }
}

/** From the first task anywhere until nine tenths have run: who comes last has nothing left to do at the end. */
async function drainTogether(peer, kind, concurrency, n, processes) {
  const count = Math.max(peer.slow ? 2_000 : 5_000, tasks(n, peer));
  const broker = await filled(peer, kind, count);
  // Workers tell every 500 tasks: each may hold back so many.
  const enough = Math.min(count * 0.9, count - 500 * processes);
  const ran = new Map();
  let firstAt = Infinity;
  const workers = Array.from({ length: processes }, () => start(peer.run({ op: 'worker', broker, concurrency, n: 0 })));
  try {
    return await Promise.any(
      workers.map(async (worker) => {
        for (;;) {
          const line = await worker.next();
          if (line.count === undefined) continue;
          firstAt = Math.min(firstAt, line.at);
          ran.set(worker, line.count);
          const total = [...ran.values()].reduce((sum, one) => sum + one, 0);
          if (total >= enough) return { n: total, perSecond: (total * 1000) / (line.at - firstAt) };
        }
      }),
    );
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
  }
}

/** From the start of the process to its first task. */
async function startUp(peer, kind) {
  const broker = await filled(peer, kind, 100);
  const begin = performance.now();
  const worker = start(peer.run({ op: 'worker', broker, concurrency: 10, n: 0 }));
  try {
    for (;;) if ((await worker.next()).count === 1) return { ms: performance.now() - begin };
  } finally {
    await worker.stop();
  }
}

async function beside(peer, kind, concurrency, measure) {
  const broker = await fresh(kind);
  const worker = start(peer.run({ op: 'worker', broker, concurrency, n: 0 }));
  try {
    if (!peer.slow) await worker.next();
    return await measure(broker, worker.child.pid);
  } finally {
    await worker.stop();
  }
}

/** CPU seconds of a process so far; undefined where the system has no /proc. */
function cpuSeconds(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return undefined;
  }
}

/** Commands of clients: what scripts call on the server counts nothing. */
function commands() {
  const { stdout } = spawnSync('redis-cli', ['-u', redis.url, 'INFO', 'commandstats'], { encoding: 'utf8' });
  let sum = 0;
  for (const [, name, calls] of stdout.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)) {
    if (/^(?:evalsha|eval|fcall|ping|blmove|brpop|bzpopmin|bzmpop|blmpop|brpoplpush|subscribe|psubscribe)$/.test(name))
      sum += Number(calls);
  }
  return sum;
}

/** Workflows, their members, and how many of each are run one after the other. */
const CANVASES = [
  ['chain', 10, 50],
  ['group', 100, 20],
  ['group', 10_000, 1],
  ['chord', 100, 20],
  ['chord', 10_000, 1],
];
/** The largest of them runs twice, once to warm up. */
const CANVAS_DEADLINE_MS = 600_000;

const IDLE_SECONDS = 10;

async function idle(peer, kind) {
  return beside(peer, kind, 100, async (_broker, pid) => {
    await new Promise((resolve) => setTimeout(resolve, peer.slow ? 5_000 : 1_000));
    const before = kind === 'redis' ? commands() : 0;
    const cpu = cpuSeconds(pid);
    await new Promise((resolve) => setTimeout(resolve, IDLE_SECONDS * 1_000));
    const used = cpu === undefined ? undefined : ((cpuSeconds(pid) - cpu) / IDLE_SECONDS) * 100;
    return { perSecond: kind === 'redis' ? (commands() - before) / IDLE_SECONDS : undefined, cpuPercent: used };
  });
}

const cells = [];
for (const kind of flags.broker.split(',')) {
  if ((kind === 'redis' && !redis) || (kind === 'rabbitmq' && !rabbit)) continue;
  for (const peer of all.filter((one) => one.brokers.includes(kind))) {
    const add = (workload, label, run) => wanted(workload) && cells.push({ broker: kind, peer: peer.name, label, run });
    if (kind === 'memory') {
      let shared;
      const alone = async () =>
        (shared = await ask(peer.run({ op: 'alone', broker: 'memory://', concurrency: 100, n: tasks(50_000, peer) })));
      add('enqueue', 'enqueue, bulk of 1000', async () => (await alone()).enqueue);
      add('drain', 'drain, concurrency 100', async () => (shared ?? (await alone())).drained);
      add('roundTrip', 'round trip', async () => (shared ?? (await alone())).roundTrip);
      continue;
    }
    add('enqueue', 'enqueue, one at a time', () => enqueue(peer, kind, 'serial', 20_000));
    if (!peer.slow) add('enqueue', 'enqueue, 100 in flight', () => enqueue(peer, kind, 'inFlight', 60_000));
    add('enqueue', 'enqueue, bulk of 1000', () => enqueue(peer, kind, 'bulk', 100_000));
    for (const concurrency of peer.slow ? [1] : [1, 10, 100]) {
      add('drain', `drain, concurrency ${concurrency}`, () =>
        drain(peer, kind, concurrency, concurrency === 1 ? 10_000 : 50_000),
      );
    }
    add('awaited', 'results awaited', () =>
      beside(peer, kind, 100, (broker) => ask(peer.run({ op: 'awaited', broker, n: tasks(20_000, peer) }))),
    );
    add('roundTrip', 'round trip', () =>
      beside(peer, kind, 10, (broker) => ask(peer.run({ op: 'roundTrip', broker, n: tasks(2_000, peer) }))),
    );
    add('processes', 'drain, 2 processes', () => drainTogether(peer, kind, 100, 100_000, 2));
    for (const depth of [1_000, 10_000, 100_000]) {
      add('depth', `drain of ${depth} queued`, () => drain(peer, kind, 100, depth));
    }
    add('start', 'start to first task', () => startUp(peer, kind));
    if (peer.canvases && kind === 'redis') {
      for (const [mode, members, times] of CANVASES) {
        const n = Math.max(2, Math.round(members * Math.min(1, scale)));
        const label = `${mode} of ${members}`;
        add('canvas', label, () =>
          beside(peer, kind, 100, (broker) =>
            ask(peer.run({ op: 'canvas', broker, mode, n, times }), CANVAS_DEADLINE_MS),
          ),
        );
      }
    }
    if (kind === 'redis') add('start', 'import', () => ask(peer.load));
    add('idle', 'idle worker: commands, CPU', () => idle(peer, kind));
  }
}

const results = [];
try {
  for (let round = 0; round < Number(flags.rounds); round++) {
    for (const cell of cells) {
      process.stderr.write(`round ${round + 1}: ${cell.broker}, ${cell.label}, ${cell.peer}\n`);
      try {
        results.push({ round, broker: cell.broker, peer: cell.peer, label: cell.label, ...(await cell.run()) });
      } catch (error) {
        console.error(`  left out: ${error.message}`);
      }
    }
  }
} finally {
  redis?.stop();
  rabbit?.stop();
  rmSync(folder, { recursive: true, force: true });
}
if (flags.json) writeFileSync(flags.json, JSON.stringify(results, undefined, 2));
console.log(
  report(
    results,
    all.map((peer) => peer.name),
  ),
);
