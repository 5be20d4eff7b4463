import { Celery, chain, chord, group } from 'celeriac';
import { counter, inFlight, latencies, peer, timed } from '../lib/peer.mjs';

const BULK = 1_000;

function open({ broker, backend }) {
  const app = new Celery({ broker, backend: backend ?? (broker.startsWith('amqp') ? 'rpc://' : broker) });
  return {
    app,
    noop: app.task('noop', { ignoreResult: true }, (_i) => undefined),
    echo: app.task('echo', (i) => i),
    total: app.task('total', (values) => values.length),
  };
}

async function work({ app, noop }, { n, concurrency }, hit = counter(n)) {
  const { Worker } = await import('celeriac/worker');
  app.tasks.get(noop.name).handler = hit;
  const worker = new Worker(app, { concurrency, withoutGossip: true, withoutMingle: true });
  process.once('SIGTERM', () => void worker.stop('warm').then(() => process.exit(0)));
  await worker.start();
  return worker;
}

async function bulk(n, send) {
  for (let low = 0; low < n; low += BULK) {
    await Promise.all(Array.from({ length: Math.min(BULK, n - low) }, (_, i) => send(low + i)));
  }
}

await peer({
  async enqueue(options) {
    const { noop } = open(options);
    await noop.delay(0);
    return timed(options.n, async () => {
      if (options.mode === 'serial') for (let i = 0; i < options.n; i++) await noop.delay(i);
      else if (options.mode === 'inFlight') await inFlight(options.n, 100, (i) => noop.delay(i));
      else await bulk(options.n, (i) => noop.delay(i));
    });
  },
  /** Runs until SIGTERM; prints a line when the first task ran and when `n` have. */
  async worker(options) {
    await work(open(options), options);
    console.log(JSON.stringify({ ready: true }));
  },
  async awaited(options) {
    const { echo } = open(options);
    const go = async (n) => {
      await bulk(n, async (i) => (await echo.delay(i)).get({ timeout: '60s' }));
    };
    await go(50);
    return timed(options.n, () => go(options.n));
  },
  async roundTrip(options) {
    const { echo } = open(options);
    return latencies(options.n, async (i) => (await echo.delay(i)).get({ timeout: '60s' }));
  },
  /** One workflow of `n` tasks after the other, each until its value is there. */
  async canvas(options) {
    const { echo, total } = open(options);
    const numbers = Array.from({ length: options.n }, (_, i) => i);
    const make = {
      chain: () => chain(...numbers.map((i) => (i === 0 ? echo.s(i) : echo.s()))),
      group: () => group(numbers.map((i) => echo.s(i))),
      chord: () =>
        chord(
          numbers.map((i) => echo.s(i)),
          total.s(),
        ),
    }[options.mode];
    return latencies(options.times, async () => (await make().delay()).get({ timeout: '300s' }), 1);
  },
  /** Producer, broker and worker in one process, which is all that memory:// can do. */
  async alone(options) {
    const opened = open(options);
    const { app, noop, echo } = opened;
    const enqueue = await timed(options.n, () => bulk(options.n, (i) => noop.delay(i)));
    let done;
    const finished = new Promise((resolve) => (done = resolve));
    let count = 0;
    let drain;
    const worker = await (async () => {
      drain = timed(options.n, () => finished);
      return work(opened, options, () => void (++count === options.n && done()));
    })();
    const drained = await drain;
    const roundTrip = await latencies(500, async (i) => (await echo.delay(i)).get({ timeout: '60s' }));
    await worker.stop('warm');
    await app.close();
    return { enqueue, drained, roundTrip };
  },
});
