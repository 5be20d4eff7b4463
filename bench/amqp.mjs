// What the AMQP driver costs beside its client library alone: the same messages, the same broker, turn by turn.
//   BENCH_AMQP_URL=amqp://guest:guest@127.0.0.1:5672/bench node amqp.mjs [--n 20000] [--rounds 3]
// The virtual host should be empty: the queue "celeriac-bench" is deleted.
import { parseArgs } from 'node:util';
import { connect } from 'amqplib';
import { createTransport } from 'celeriac/transports/amqp';

const { values: flags } = parseArgs({
  options: { n: { type: 'string', default: '20000' }, rounds: { type: 'string', default: '3' } },
});
const url = process.env.BENCH_AMQP_URL ?? 'amqp://guest:guest@127.0.0.1:5672/';
const n = Number(flags.n);
const QUEUE = 'celeriac-bench';
const WINDOW = 100;
const body = Buffer.from(JSON.stringify([[1], {}, { callbacks: null, errbacks: null, chain: null, chord: null }]));
const headers = { lang: 'js', task: 'noop', id: 'some-id', shadow: null, eta: null, expires: null, retries: 0 };

const quiet = { debug() {}, info() {}, warn() {}, error() {}, fatal() {}, child: () => quiet };
const context = {
  clock: {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimer: (ms, run) => {
      const timer = setTimeout(() => run(), ms);
      return { cancel: () => clearTimeout(timer) };
    },
  },
  random: { next: () => Math.random(), uuid: () => crypto.randomUUID() },
  log: quiet,
};

/** Tasks a second. */
async function rate(work) {
  const started = performance.now();
  await work();
  return Math.round((n / (performance.now() - started)) * 1000);
}

/** `n` calls of `send`, `WINDOW` of them unfinished at a time. */
async function windowed(send) {
  let left = n;
  const lane = async () => {
    while (left-- > 0) await send();
  };
  await Promise.all(Array.from({ length: WINDOW }, lane));
}

async function raw() {
  const link = await connect(url);
  const channel = await link.createConfirmChannel();
  await channel.deleteQueue(QUEUE);
  await channel.assertQueue(QUEUE, { durable: true });
  const options = { headers, deliveryMode: 2, contentType: 'application/json', contentEncoding: 'utf-8', priority: 0 };
  const send = () =>
    new Promise((resolve, reject) =>
      channel.publish('', QUEUE, body, options, (error) => (error ? reject(error) : resolve())),
    );
  const publish = await rate(() => windowed(send));
  const reader = await link.createChannel();
  await reader.prefetch(WINDOW, true);
  const consume = await rate(
    () =>
      new Promise((resolve) => {
        let seen = 0;
        void reader.consume(QUEUE, (message) => {
          reader.ack(message);
          if (++seen === n) resolve();
        });
      }),
  );
  await link.close();
  return { publish, consume };
}

async function ours() {
  const connection = await createTransport(url, {}, context).connect();
  const channel = await connection.channel();
  const queue = { kind: 'queue', name: QUEUE, routingKey: QUEUE, durable: true, exclusive: false, autoDelete: false };
  await channel.deleteQueue(QUEUE);
  await channel.declare(queue);
  const message = {
    body,
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    headers,
    properties: { deliveryMode: 2, priority: 0 },
  };
  const to = { exchange: '', routingKey: QUEUE };
  const publish = await rate(() => windowed(() => channel.publish(message, to)));
  const consume = await rate(
    () =>
      new Promise((resolve) => {
        let seen = 0;
        const deliver = (delivery) => {
          void delivery.ack();
          if (++seen === n) resolve();
        };
        void channel.consume(queue, deliver, { prefetch: WINDOW });
      }),
  );
  await channel.deleteQueue(QUEUE);
  await connection.close();
  return { publish, consume };
}

const rounds = { raw: [], ours: [] };
for (let round = 0; round < Number(flags.rounds); round++) {
  rounds.raw.push(await raw());
  rounds.ours.push(await ours());
}
const median = (rows, what) => rows.map((row) => row[what]).toSorted((a, b) => a - b)[Math.floor(rows.length / 2)];
for (const what of ['publish', 'consume']) {
  const [alone, driver] = [median(rounds.raw, what), median(rounds.ours, what)];
  const label = what === 'publish' ? 'publish, confirms, 100 in flight' : 'consume and acknowledge, window 100';
  console.log(`${label}: amqplib ${alone}/s, Celeriac ${driver}/s (${(driver / alone).toFixed(2)})`);
}
