import type { OperationalError } from '../../errors.ts';
import { CeleryError, UsageError } from '../../errors.ts';
import { sleep } from '../../runtime/clock.ts';
import type { RedisSettings } from '../../transports/redis/options.ts';
import { RedisSocket } from '../../transports/redis/socket.ts';
import type { RedisAddress } from '../../transports/redis/url.ts';
import type { DriverContext } from '../../transports/transport.ts';

/** When and how often a command is tried again that met a broken connection. Celery's `retry_policy`, in ms. */
export interface RetryPolicy {
  readonly maxRetries: number;
  readonly startMs: number;
  readonly stepMs: number;
  readonly maxMs: number;
}

/** A socket that is made when it is needed and made again after it broke. Concurrent users share it. */
export class Link {
  readonly #address: RedisAddress;
  readonly #settings: RedisSettings;
  readonly #context: DriverContext;
  readonly #policy: RetryPolicy;
  readonly #stop = new AbortController();
  #socket: RedisSocket | undefined;
  #opening: Promise<RedisSocket> | undefined;

  constructor(address: RedisAddress, settings: RedisSettings, policy: RetryPolicy, context: DriverContext) {
    this.#address = address;
    this.#settings = settings;
    this.#policy = policy;
    this.#context = context;
  }

  get closed(): boolean {
    return this.#stop.signal.aborted;
  }

  /** The present socket, or a new one. One attempt. */
  async socket(): Promise<RedisSocket> {
    if (this.closed) throw new UsageError('the Redis result backend is closed');
    if (this.#socket && !this.#socket.ended) return this.#socket;
    this.#opening ??= RedisSocket.open(this.#address, this.#settings, this.#context, this.#stop.signal).finally(() => {
      this.#opening = undefined;
    });
    this.#socket = await this.#opening;
    return this.#socket;
  }

  /** Repeats `work` while it fails for want of a connection. `close()` interrupts the waiting. */
  async retry<T>(work: (socket: RedisSocket) => Promise<T>): Promise<T> {
    const { maxRetries, startMs, stepMs, maxMs } = this.#policy;
    for (let attempt = 0; ; attempt++) {
      try {
        return await work(await this.socket());
      } catch (error) {
        const recoverable = CeleryError.is(error) && (error as OperationalError).recoverable === true;
        if (!recoverable || attempt >= maxRetries || this.closed) throw error;
        this.#context.log.debug({ error, attempt }, 'the Redis result backend is out of reach; trying again');
        await sleep(this.#context.clock, Math.min(startMs + attempt * stepMs, maxMs), this.#stop.signal);
      }
    }
  }

  close(): void {
    this.#stop.abort(new UsageError('the Redis result backend is closed'));
    this.#socket?.close();
  }
}
