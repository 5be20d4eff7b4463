import Queue from 'bee-queue';
import { counter, inFlight, latencies, peer, timed } from '../lib/peer.mjs';

const BULK = 1_000;
function open({ broker }, settings) {
  const url = new URL(broker);
  return new Queue('bench', {
    redis: { host: url.hostname, port: Number(url.port) },
    removeOnSuccess: true,
    ...settings,
  });
}
const sender = { isWorker: false, getEvents: false, storeJobs: false };
const waiter = { isWorker: false, storeJobs: false };
/** Sends one job and waits for it. By ids of our own: the event may be here before the answer to `save()`. */
function waiting(queue) {
  const pending = new Map();
  queue.on('job succeeded', (id, value) => pending.get(id)?.(value));
  let next = 0;
  return (data) => {
    const id = `echo-${next++}`;
    return new Promise((resolve, reject) => {
      pending.set(id, resolve);
      queue.createJob(data).setId(id).save().catch(reject);
    }).finally(() => pending.delete(id));
  };
}

await peer({
  async enqueue(options) {
    const queue = open(options, sender);
    await queue.createJob({ i: 0 }).save();
    return timed(options.n, async () => {
      if (options.mode === 'serial') for (let i = 0; i < options.n; i++) await queue.createJob({ i }).save();
      else if (options.mode === 'inFlight') await inFlight(options.n, 100, (i) => queue.createJob({ i }).save());
      else {
        for (let low = 0; low < options.n; low += BULK) {
          await queue.saveAll(
            Array.from({ length: Math.min(BULK, options.n - low) }, (_, i) => queue.createJob({ i: low + i })),
          );
        }
      }
    });
  },
  async worker(options) {
    const queue = open(options, { getEvents: false, sendEvents: true });
    const hit = counter(options.n);
    queue.process(options.concurrency, async (job) => (job.data.echo ? job.data.i : hit()));
    process.once('SIGTERM', () => process.exit(0));
    await queue.ready();
    console.log(JSON.stringify({ ready: true }));
  },
  async awaited(options) {
    const finished = waiting(await open(options, waiter).ready());
    const go = async (n) => {
      for (let low = 0; low < n; low += BULK) {
        await Promise.all(
          Array.from({ length: Math.min(BULK, n - low) }, (_, i) => finished({ echo: true, i: low + i })),
        );
      }
    };
    await go(50);
    return timed(options.n, () => go(options.n));
  },
  async roundTrip(options) {
    const finished = waiting(await open(options, waiter).ready());
    return latencies(options.n, (i) => finished({ echo: true, i }));
  },
});
