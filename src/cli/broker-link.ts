import type { Celery } from '../app/celery.ts';
import { OperationalError } from '../errors.ts';
import type { Channel, Connection, Transport } from '../transports/transport.ts';

/** A connection with one channel, for commands that talk to the broker themselves. */
export interface BrokerLink extends AsyncDisposable {
  readonly transport: Transport;
  readonly connection: Connection;
  readonly channel: Channel;
}

/** @throws {OperationalError} when there is no connection within `brokerConnectionTimeout` */
export async function openLink(app: Celery, transport: Transport): Promise<BrokerLink> {
  const seconds = Math.max(1, app.conf.brokerConnectionTimeout ?? 4);
  const limit = new AbortController();
  const timer = app.clock.setTimer(seconds * 1000, () =>
    limit.abort(
      new OperationalError(`no connection to ${transport.displayUrl} within ${seconds} s`, {
        recoverable: true,
        code: 'ERR_CONNECT_TIMEOUT',
      }),
    ),
  );
  try {
    const connection = await transport.connect({ signal: limit.signal });
    const channel = await connection.channel();
    return { transport, connection, channel, [Symbol.asyncDispose]: () => connection.close() };
  } finally {
    timer.cancel();
  }
}
