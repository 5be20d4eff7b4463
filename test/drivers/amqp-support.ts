import { createTransport } from '../../src/transports/amqp/index.ts';
import type { Logger } from '../../src/runtime/logger.ts';
import type { Channel, Delivery, Transport } from '../../src/transports/transport.ts';
import type { Queue } from '../../src/messaging/entity.ts';
import { context } from './redis-support.ts';

export function amqp(url: string, options: Record<string, unknown> = {}, log?: Logger): Transport {
  return createTransport(url, options, context(log));
}

/** What a promise was rejected with. */
export function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** A consumer that keeps what it is given. */
export async function keep(
  channel: Channel,
  from: Queue,
  options: { prefetch?: number; noAck?: boolean; onCancel?: (reason: Error) => void } = {},
) {
  const deliveries: Delivery[] = [];
  const consumer = await channel.consume(from, (delivery) => void deliveries.push(delivery), {
    prefetch: 0,
    ...options,
  });
  return { deliveries, consumer };
}
