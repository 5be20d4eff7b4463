import { UsageError, type CeleryError } from '../../errors.ts';
import type { Stored } from '../../protocol/result.ts';
import { backoffMs } from '../../runtime/backoff.ts';
import { sleep } from '../../runtime/clock.ts';
import { deferred, type Deferred } from '../../runtime/deferred.ts';
import type { RedisSettings } from '../../transports/redis/options.ts';
import { RedisSocket } from '../../transports/redis/socket.ts';
import type { RedisAddress } from '../../transports/redis/url.ts';
import type { DriverContext } from '../../transports/transport.ts';

/*
 * channel   one result key; what is stored there is also published under its name
 *
 * All channels share one socket. A channel is read after it was subscribed, and again after each reconnect, so that
 * nothing stored in between is missed.
 */

type Listener = (text: Stored) => void;

interface Channel {
  readonly listeners: Set<Listener>;
  readonly ready: Deferred<void>;
  /** Counts messages, so that an older text that was read does not follow a newer one that was pushed. */
  pushed: number;
  state: 'new' | 'subscribed';
}

/** Most channels in one command. */
const PAGE = 500;
const BACKOFF = { baseMs: 50, capMs: 2_000 };

export class Subscriptions {
  readonly #address: RedisAddress;
  readonly #settings: RedisSettings;
  readonly #context: DriverContext;
  readonly #read: (keys: readonly string[]) => Promise<(Stored | null)[]>;
  readonly #binary: boolean;
  readonly #channels = new Map<string, Channel>();
  readonly #stop = new AbortController();
  #dropped = new Set<string>();
  #socket: RedisSocket | undefined;
  #running = false;
  #scheduled = false;

  constructor(
    address: RedisAddress,
    settings: RedisSettings,
    context: DriverContext,
    read: (keys: readonly string[]) => Promise<(Stored | null)[]>,
    binary: boolean,
  ) {
    this.#address = address;
    this.#settings = settings;
    this.#context = context;
    this.#read = read;
    this.#binary = binary;
  }

  /** Resolves when the channel is subscribed and what was stored before has been reported. */
  add(key: string, listener: Listener): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.reject(new UsageError('the Redis result backend is closed'));
    let channel = this.#channels.get(key);
    if (channel) {
      channel.listeners.add(listener);
      if (channel.state === 'subscribed') return this.#report([key], new Set([listener]));
    } else {
      channel = { listeners: new Set([listener]), ready: deferred(), pushed: 0, state: 'new' };
      channel.ready.promise.catch(() => {});
      this.#channels.set(key, channel);
      this.#dropped.delete(key);
      this.#schedule();
    }
    return channel.ready.promise;
  }

  remove(key: string, listener: Listener): void {
    const channel = this.#channels.get(key);
    if (!channel?.listeners.delete(listener) || channel.listeners.size > 0) return;
    this.#channels.delete(key);
    channel.ready.resolve();
    this.#dropped.add(key);
    this.#schedule();
  }

  close(): void {
    const closed = new UsageError('the Redis result backend is closed');
    this.#stop.abort(closed);
    this.#socket?.close();
    for (const { ready } of this.#channels.values()) ready.reject(closed);
    this.#channels.clear();
  }

  /** Everything asked for in one tick travels together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#socket) void this.#flush(this.#socket);
      else if (this.#channels.size > 0) void this.#run();
    });
  }

  /** Connects, and connects again, while somebody listens. */
  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    let attempt = 0;
    while (!this.#stop.signal.aborted && this.#channels.size > 0) {
      try {
        const socket = await RedisSocket.open(this.#address, this.#settings, this.#context, this.#stop.signal);
        if (this.#binary) socket.onMessageBuffer((key, body) => this.#push(key.toString(), body));
        else socket.onMessage((key, text) => this.#push(key, text));
        for (const channel of this.#channels.values()) channel.state = 'new';
        this.#dropped.clear();
        this.#socket = socket;
        await this.#flush(socket);
        if (!socket.ended) attempt = 0;
        const error = await socket.closed;
        if (error) this.#complain(error);
      } catch (error) {
        this.#complain(error as CeleryError);
      }
      this.#socket = undefined;
      if (this.#stop.signal.aborted) break;
      await sleep(this.#context.clock, backoffMs(attempt++, BACKOFF, this.#context.random), this.#stop.signal).catch(
        () => {},
      );
    }
    this.#running = false;
  }

  #complain(error: CeleryError): void {
    if (!this.#stop.signal.aborted)
      this.#context.log.warn({ error }, 'waiting for results was interrupted; connecting again');
  }

  #push(key: string, text: Stored): void {
    const channel = this.#channels.get(key);
    if (!channel) return;
    channel.pushed++;
    this.#tell(channel.listeners, text);
  }

  #tell(listeners: ReadonlySet<Listener>, text: Stored): void {
    for (const listener of [...listeners]) {
      try {
        listener(text);
      } catch (error) {
        this.#context.log.error({ error }, 'a listener for a result threw');
      }
    }
  }

  async #flush(socket: RedisSocket): Promise<void> {
    const dropped = [...this.#dropped].filter((key) => !this.#channels.has(key));
    this.#dropped.clear();
    const added = [...this.#channels].filter(([, { state }]) => state === 'new').map(([key]) => key);
    for (const key of added) (this.#channels.get(key) as Channel).state = 'subscribed';
    try {
      for (let i = 0; i < dropped.length; i += PAGE) await socket.unsubscribe(dropped.slice(i, i + PAGE));
      for (let i = 0; i < added.length; i += PAGE) {
        const page = added.slice(i, i + PAGE);
        await socket.subscribe(page);
        await this.#report(page);
        for (const key of page) this.#channels.get(key)?.ready.resolve();
      }
    } catch (error) {
      // Half a subscription is none: start over on a new socket, which subscribes and reads everything again.
      if (!this.#stop.signal.aborted) socket.fail(error as CeleryError);
    }
  }

  /** Reads keys and reports what is there; only to `to` where given. */
  async #report(keys: readonly string[], to?: ReadonlySet<Listener>): Promise<void> {
    const before = keys.map((key) => this.#channels.get(key)?.pushed);
    const texts = await this.#read(keys);
    texts.forEach((text, i) => {
      const channel = this.#channels.get(keys[i] as string);
      if (text === null || !channel || channel.pushed !== before[i]) return;
      this.#tell(to ?? channel.listeners, text);
    });
  }
}
