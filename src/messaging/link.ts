import { OperationalError } from '../errors.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Channel, Connection, Transport } from '../transports/transport.ts';
import type { Entity } from './entity.ts';

/** One connection with its channel and what has been declared on it; dies as a whole. */
export interface Link {
  readonly connection: Connection;
  readonly channel: Channel;
  /** By kind and name; the promise until the broker answered. */
  readonly declared: Map<string, true | Promise<void>>;
  /** Declared and there to stay, by identity: asked for each message. */
  readonly known: WeakSet<Entity>;
  /** It failed; many may notice, one closes it. */
  dropped: boolean;
}

export interface LinksOptions {
  readonly clock: Clock;
  /** Asked for each new connection. */
  readonly transport: () => Promise<Transport>;
  /** Longest wait for a connection. */
  readonly connectTimeoutMs: number;
}

/** One link after the other: made on demand, shared by whoever asks meanwhile, forgotten when it breaks. */
export class Links {
  readonly #options: LinksOptions;
  readonly #closing = new AbortController();
  /** The link while it lives. */
  current: Link | undefined;
  /** The link being made. */
  #linking: Promise<Link> | undefined;

  constructor(options: LinksOptions) {
    this.#options = options;
  }

  /**
   * The link, a new one where there is none.
   * @throws {OperationalError} code `ERR_CONNECT_TIMEOUT` after the deadline
   */
  open(): Promise<Link> {
    if (this.current !== undefined) return Promise.resolve(this.current);
    this.#linking ??= this.#open().finally(() => (this.#linking = undefined));
    return this.#linking;
  }

  async #open(): Promise<Link> {
    const { clock, connectTimeoutMs } = this.#options;
    this.#closing.signal.throwIfAborted();
    const transport = await this.#options.transport();
    const limit = new AbortController();
    const onClose = (): void => limit.abort(this.#closing.signal.reason);
    this.#closing.signal.addEventListener('abort', onClose, { once: true });
    const timer = clock.setTimer(connectTimeoutMs, () =>
      limit.abort(
        new OperationalError(`no connection to ${transport.displayUrl} within ${connectTimeoutMs} ms`, {
          recoverable: true,
          code: 'ERR_CONNECT_TIMEOUT',
        }),
      ),
    );
    try {
      const link = await unlessAborted(openLink(transport, limit.signal), limit.signal, abandon);
      if (this.#closing.signal.aborted) {
        abandon(link);
        throw this.#closing.signal.reason as Error;
      }
      this.current = link;
      void link.connection.closed.then(() => this.#forget(link));
      return link;
    } finally {
      timer.cancel();
      this.#closing.signal.removeEventListener('abort', onClose);
    }
  }

  /** Declares once for each link, except what may vanish by itself. `true`: it is known already. */
  declare(link: Link, entity: Entity): true | Promise<void> {
    const key = entityKey(entity);
    const known = link.declared.get(key);
    if (known === true) link.known.add(entity);
    if (known !== undefined) return known;
    const pending = link.channel.declare(entity).then(
      () => {
        if (isTransient(entity)) link.declared.delete(key);
        else link.declared.set(key, true);
      },
      (error: unknown) => {
        link.declared.delete(key);
        throw error;
      },
    );
    link.declared.set(key, pending);
    return pending;
  }

  #forget(link: Link): void {
    if (this.current === link) this.current = undefined;
  }

  /** The link cannot be trusted any more: it is closed, and the next `open` makes another. Harmless twice. */
  drop(link: Link): void {
    if (link.dropped) return;
    link.dropped = true;
    this.#forget(link);
    abandon(link);
  }

  /** Ends with `reason` whoever waits for a connection, then disconnects. Harmless twice. */
  async close(reason: Error): Promise<void> {
    this.#closing.abort(reason);
    const link = this.current ?? (await this.#linking?.catch(() => undefined));
    this.current = undefined;
    await link?.connection.close();
  }
}

async function openLink(transport: Transport, signal: AbortSignal): Promise<Link> {
  const connection = await transport.connect({ signal });
  try {
    return {
      connection,
      channel: await connection.channel(),
      declared: new Map(),
      known: new WeakSet(),
      dropped: false,
    };
  } catch (error) {
    connection.close().catch(() => undefined);
    throw error;
  }
}

/** Closes what nobody waits for; its failure has no reader. */
function abandon(link: Link): void {
  link.connection.close().catch(() => undefined);
}

/** Settles like `work`, or rejects when the signal aborts; what `work` yields too late goes to `discard`. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, discard: (late: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason as Error);
      work.then(discard, () => undefined);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work
      .then(resolve, (error: unknown) => reject(error as Error))
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function entityKey(entity: Entity): string {
  return entity.kind === 'binding'
    ? `binding ${entity.exchange} ${entity.routingKey} ${entity.queue}`
    : `${entity.kind} ${entity.name}`;
}

/** May vanish while the connection lives: declared again each time. */
function isTransient(entity: Entity): boolean {
  if (entity.kind === 'binding') return false;
  return entity.autoDelete || (entity.kind === 'queue' && entity.expiresMs !== undefined);
}
