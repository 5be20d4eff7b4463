import { Queue, QueueEvents, Worker } from 'bullmq';
import { counter, inFlight, latencies, peer, timed } from '../lib/peer.mjs';

const BULK = 1_000;
const connectionOf = ({ broker }) => {
  const url = new URL(broker);
  return { host: url.hostname, port: Number(url.port) };
};
const open = (options) => new Queue('bench', { connection: connectionOf(options) });

/** Who waits for a result has to find the job: those stay a minute, all others go at once. */
const KEPT = { removeOnComplete: { age: 60 } };

async function bulk(queue, n, name) {
  const jobs = [];
  for (let low = 0; low < n; low += BULK) {
    jobs.push(
      ...(await queue.addBulk(
        Array.from({ length: Math.min(BULK, n - low) }, (_, i) => ({
          name,
          data: { i: low + i },
          opts: name === 'echo' ? KEPT : undefined,
        })),
      )),
    );
  }
  return jobs;
}
async function events(options) {
  const listening = new QueueEvents('bench', { connection: connectionOf(options) });
  await listening.waitUntilReady();
  listening.setMaxListeners(0);
  return listening;
}

await peer({
  async enqueue(options) {
    const queue = open(options);
    await queue.add('noop', { i: 0 });
    return timed(options.n, async () => {
      if (options.mode === 'serial') for (let i = 0; i < options.n; i++) await queue.add('noop', { i });
      else if (options.mode === 'inFlight') await inFlight(options.n, 100, (i) => queue.add('noop', { i }));
      else await bulk(queue, options.n, 'noop');
    });
  },
  async worker(options) {
    const hit = counter(options.n);
    const run = async (job) => (job.name === 'echo' ? job.data.i : hit());
    const worker = new Worker('bench', run, {
      connection: connectionOf(options),
      concurrency: options.concurrency,
      removeOnComplete: { count: 0 },
    });
    process.once('SIGTERM', () => process.exit(0));
    await worker.waitUntilReady();
    console.log(JSON.stringify({ ready: true }));
  },
  async awaited(options) {
    const queue = open(options);
    queue.setMaxListeners(0);
    const listening = await events(options);
    const go = async (n) => Promise.all((await bulk(queue, n, 'echo')).map((job) => job.waitUntilFinished(listening)));
    await go(50);
    return timed(options.n, () => go(options.n));
  },
  async roundTrip(options) {
    const queue = open(options);
    const listening = await events(options);
    return latencies(options.n, async (i) => (await queue.add('echo', { i }, KEPT)).waitUntilFinished(listening));
  },
});
