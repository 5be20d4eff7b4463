import type { Writable } from 'node:stream';
import type { ChannelModel, SocketOptions } from 'amqplib';
import { OperationalError } from '../../errors.ts';
import { withDeadline } from '../../runtime/clock.ts';
import { deferred } from '../../runtime/deferred.ts';
import { optional } from '../../runtime/optional.ts';
import { VERSION } from '../../version.ts';
import type { DriverContext } from '../transport.ts';
import { connectError, lost } from './errors.ts';
import type { AmqpSettings } from './options.ts';
import { repairFrames } from './repair.ts';
import type { AmqpAddress } from './url.ts';
import { toTable } from './values.ts';

/** One open connection of the client library, and a way to end it whatever state it is in. */
export interface Link {
  readonly model: ChannelModel;
  /** Settles once: with what ended the connection; undefined after `close()`. */
  readonly closed: Promise<Error | undefined>;
  /** RabbitMQ's version, `[3, 10]`; undefined for another product. */
  readonly rabbit: readonly [major: number, minor: number] | undefined;
  /** Destroys the socket at once. Harmless twice. */
  kill(): void;
}

export interface Dial {
  readonly address: AmqpAddress;
  readonly settings: AmqpSettings;
  readonly context: DriverContext;
  readonly displayUrl: string;
}

/** Logs in at one address. @throws {OperationalError} not recoverable when user or virtual host are refused */
export async function dial({ address, settings, context, displayUrl }: Dial, signal?: AbortSignal): Promise<Link> {
  const amqp = await optional('amqplib', 'The broker "amqp://"', () => import('amqplib'));
  signal?.throwIfAborted();
  const socket = new AbortController();
  const onAbort = (): void => socket.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const timeoutMs = settings.connectTimeoutMs;
  const connecting = amqp.connect(
    {
      protocol: address.tls === undefined ? 'amqp' : 'amqps',
      hostname: address.host,
      port: address.port,
      username: address.username,
      password: address.password,
      // The library decodes it once more.
      vhost: encodeURIComponent(address.vhost),
      heartbeat: Math.ceil(settings.heartbeatSeconds),
      frameMax: settings.frameMax,
      channelMax: settings.channelMax,
    },
    socketOptions(address, settings, amqp.credentials, socket.signal),
  );
  try {
    const model = await withDeadline(
      context.clock,
      timeoutMs,
      connecting,
      () =>
        new OperationalError(`no connection to ${displayUrl} within ${timeoutMs / 1000} s`, {
          recoverable: true,
          code: 'ERR_CONNECT_TIMEOUT',
        }),
    );
    return watched(model, () => socket.abort(lost()), displayUrl, context);
  } catch (error) {
    socket.abort(error);
    // One that comes after all is destroyed with its socket; its end has no reader.
    connecting.then(
      (late) => void late.on('error', () => {}),
      () => {},
    );
    if (signal?.aborted) throw signal.reason;
    throw connectError(error, displayUrl, address.vhost);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

function watched(model: ChannelModel, kill: () => void, displayUrl: string, { log }: DriverContext): Link {
  const closed = deferred<Error | undefined>();
  let failure: Error | undefined;
  model.on('error', (error) => (failure ??= error));
  model.on('close', (error) => {
    const cause = failure ?? error;
    closed.resolve(cause && lost(`the connection to ${displayUrl} ended`, cause));
    kill();
  });
  model.on('blocked', (reason) =>
    log.warn({ broker: displayUrl, reason }, 'the broker takes no messages: it runs out of memory or disk'),
  );
  model.on('unblocked', () => log.info({ broker: displayUrl }, 'the broker takes messages again'));
  model.on('handler-error', (error) => log.error({ error }, 'an AMQP handler failed'));
  coalesceWrites((model.connection as unknown as { readonly stream: Writable }).stream);
  repairFrames(model.connection, (error) =>
    log.error({ error, broker: displayUrl }, 'a message has properties that cannot be read: they were dropped'),
  );
  return { model, closed: closed.promise, rabbit: rabbitVersion(model), kill };
}

/** The client library writes each frame by itself, and with TCP_NODELAY each would be a packet: one for each turn. */
function coalesceWrites(stream: Writable): void {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  let corked = false;
  const uncork = (): void => {
    corked = false;
    stream.uncork();
  };
  stream.write = (...args: unknown[]): boolean => {
    if (!corked) {
      corked = true;
      stream.cork();
      process.nextTick(uncork);
    }
    return write(...args);
  };
}

function rabbitVersion(model: ChannelModel): Link['rabbit'] {
  const { product, version } = model.connection.serverProperties as { product?: unknown; version?: unknown };
  if (product !== 'RabbitMQ' || typeof version !== 'string') return undefined;
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return [major, minor];
}

function socketOptions(
  { tls, username, password }: AmqpAddress,
  { loginMethod, clientProperties }: AmqpSettings,
  credentials: typeof import('amqplib').credentials,
  signal: AbortSignal,
): SocketOptions {
  const options = {
    ...tls,
    signal,
    noDelay: true,
    keepAlive: true,
    keepAliveDelay: 60_000,
    clientProperties: { product: 'celeriac', product_version: VERSION, ...toTable(clientProperties) },
    credentials:
      loginMethod === 'EXTERNAL'
        ? credentials.external()
        : loginMethod === 'AMQPLAIN'
          ? credentials.amqplain(username, password)
          : credentials.plain(username, password),
  };
  // Handed on to `net.connect` or `tls.connect` as they are, `signal` too.
  return options as SocketOptions;
}
