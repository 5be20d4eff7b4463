import { expect, test } from 'vitest';
import { OperationalError } from '../errors.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import { eventually } from '../testing/eventually.ts';
import { testApp } from '../testing/index.ts';
import type { Connection, Transport } from '../transports/transport.ts';
import { Worker } from './index.ts';

/** The broker in memory, with connections that can be cut and refused. */
async function breakable(): Promise<{
  readonly transport: Transport;
  readonly cut: () => void;
  refuses: boolean;
  /** Connections so far. */
  readonly count: number;
}> {
  await using plain = testApp();
  const inner = await plain.transport();
  const endings: Deferred<Error | undefined>[] = [];
  const lost = (): OperationalError => new OperationalError('cut', { recoverable: true });
  const state = {
    refuses: false,
    get count(): number {
      return endings.length;
    },
    cut: (): void => endings.forEach((ending) => ending.resolve(lost())),
    transport: Object.create(inner, {
      connect: {
        value: async (options?: object): Promise<Connection> => {
          if (state.refuses) throw lost();
          const connection = await inner.connect(options);
          const ending = deferred<Error | undefined>();
          endings.push(ending);
          return Object.create(connection, {
            closed: { value: ending.promise },
            channel: { value: () => connection.channel() },
            close: { value: () => connection.close() },
          }) as Connection;
        },
      },
      capabilities: { value: inner.capabilities },
      info: { value: inner.info },
    }) as Transport,
  };
  return state;
}

test('a link that flaps more often than brokerConnectionMaxRetries is no broker that stays away', async () => {
  const broker = await breakable();
  await using app = testApp({ broker: broker.transport, brokerConnectionMaxRetries: 1 });
  const worker = new Worker(app, { concurrency: 1, withoutHeartbeat: true });
  await worker.start();
  for (let turn = 0; turn < 4; turn++) {
    const before = broker.count;
    broker.cut();
    await eventually(() => broker.count > before && worker.isConsuming, 'it consumes again');
  }
  await worker.stop('cold');
});

test('a broker that stays away ends the worker after brokerConnectionMaxRetries', async () => {
  const broker = await breakable();
  await using app = testApp({ broker: broker.transport, brokerConnectionMaxRetries: 1 });
  const worker = new Worker(app, { concurrency: 1, withoutHeartbeat: true });
  const ended = worker.run().then(
    ({ error }) => error?.message,
    (error: Error) => error.message,
  );
  await eventually(() => worker.isConsuming, 'it consumes');
  broker.refuses = true;
  broker.cut();
  expect(await ended).toBe('cut');
});
