// Measures Celeriac beside the queues installed here: `node run.mjs --help`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ask, start } from './lib/processes.mjs';
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
  console.log(`node run.mjs [--broker memory,sqlite,redis] [--only enqueue,drain,awaited,roundTrip,depth,idle]
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
let files = 0;

/** A broker with nothing in it. */
function fresh(kind) {
  if (kind === 'sqlite') return `sqlite:///${join(folder, `${++files}.db`)}`;
  const { hostname, port } = new URL(redis.url);
  spawnSync('redis-cli', ['-h', hostname, '-p', port, 'FLUSHALL'], { stdio: 'ignore' });
  return redis.url;
}

async function enqueue(peer, broker, mode, n) {
  return ask(peer.run({ op: 'enqueue', broker: fresh(broker), mode, n: tasks(n, peer) }));
}

async function drain(peer, kind, concurrency, n, processes = 1) {
  const broker = fresh(kind);
  const count = tasks(n, peer);
  await ask(peer.run({ op: 'enqueue', broker, mode: peer.slow ? 'serial' : 'bulk', n: count }));
  const worker = start(peer.run({ op: 'worker', broker, concurrency, n: Math.floor(count / processes) }));
  try {
    for (;;) {
      const line = await worker.next();
      if (line.perSecond) return line;
    }
  } finally {
    await worker.stop();
  }
}

async function beside(peer, kind, concurrency, measure) {
  const broker = fresh(kind);
  const worker = start(peer.run({ op: 'worker', broker, concurrency, n: 0 }));
  try {
    if (!peer.slow) await worker.next();
    return await measure(broker);
  } finally {
    await worker.stop();
  }
}

async function idle(peer, kind) {
  return beside(peer, kind, 100, async () => {
    const calls = () =>
      Number(
        /total_commands_processed:(\d+)/.exec(spawnSync('redis-cli', ['-u', redis.url, 'INFO', 'stats']).stdout)?.[1],
      );
    const before = calls();
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    return { perSecond: (calls() - before - 1) / 10 };
  });
}

const cells = [];
for (const kind of flags.broker.split(',')) {
  if (kind === 'redis' && !redis) continue;
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
    if (!peer.slow) {
      for (const depth of [1_000, 10_000, 100_000])
        add('depth', `drain of ${depth} queued`, () => drain(peer, kind, 100, depth));
    }
    if (kind === 'redis' && !peer.slow) add('idle', 'idle worker, broker commands', () => idle(peer, kind));
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
  rmSync(folder, { recursive: true, force: true });
}
if (flags.json) writeFileSync(flags.json, JSON.stringify(results, undefined, 2));
console.log(
  report(
    results,
    all.map((peer) => peer.name),
  ),
);
