import { createTransport } from '../../src/transports/memory.ts';
import type { Delivery, Transport } from '../../src/transports/transport.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { systemRandom } from '../../src/runtime/random.ts';

/** How the messages of tasks are settled, by task id and in order. */
export type Settled = (id: string, how: 'ack' | 'reject' | 'requeue') => void;

/** The broker in memory, which tells how the messages of one queue are settled. */
export function observedTransport(settled: Settled, queue = 'celery'): Transport {
  const inner = createTransport('memory://', {}, { clock: systemClock, random: systemRandom(), log: silentLogger });
  const note = (delivery: Delivery): Delivery => {
    const { ack, reject } = delivery;
    const id = String(delivery.message.headers['id']);
    return Object.assign(delivery, {
      ack: () => (settled(id, 'ack'), ack.call(delivery)),
      reject: (how: { requeue: boolean }) => (
        settled(id, how.requeue ? 'requeue' : 'reject'),
        reject.call(delivery, how)
      ),
    });
  };
  const connect = inner.connect.bind(inner);
  return Object.assign(inner, {
    connect: async () => {
      const connection = await connect();
      const open = connection.channel.bind(connection);
      return Object.assign(connection, {
        channel: async () => {
          const channel = await open();
          const consume = channel.consume.bind(channel);
          channel.consume = (from, deliver, options) =>
            consume(from, from.name === queue ? (one) => deliver(note(one)) : deliver, options);
          return channel;
        },
      });
    },
  });
}
