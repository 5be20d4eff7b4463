import { CeleryError, OperationalError } from '../../errors.ts';
import { withDeadline, type Timer } from '../../runtime/clock.ts';
import { deferred } from '../../runtime/deferred.ts';
import { optional } from '../../runtime/optional.ts';
import type { DriverContext } from '../transport.ts';
import { replyCode, replyKind, translate } from './errors.ts';
import type { RedisSettings } from './options.ts';
import type { Script } from './scripts.ts';
import type { RedisAddress } from './url.ts';

export type Argument = string | number | Uint8Array;
export type Command = readonly [name: string, ...args: Argument[]];

/** The part of an ioredis client (5 or 6) that is called here. */
export interface RedisClient {
  readonly stream?:
    | {
        destroy(): void;
        cork(): void;
        uncork(): void;
        readonly remoteAddress?: string | undefined;
        readonly remotePort?: number | undefined;
      }
    | undefined;
  connect(): Promise<void>;
  disconnect(): void;
  call(command: string, ...args: Argument[]): Promise<unknown>;
  callBuffer(command: string, ...args: Argument[]): Promise<unknown>;
  pipeline(commands: unknown[][]): { exec(): Promise<[error: Error | null, reply: unknown][] | null> };
  psubscribe(...patterns: string[]): Promise<unknown>;
  punsubscribe(...patterns: string[]): Promise<unknown>;
  subscribe(...channels: string[]): Promise<unknown>;
  unsubscribe(...channels: string[]): Promise<unknown>;
  on(event: string, listener: (...args: never[]) => void): unknown;
}

type MakeClient = new (options: Readonly<Record<string, unknown>>) => RedisClient;

/** How often per deadline the watchdog looks. */
const CHECKS_PER_DEADLINE = 4;

/**
 * One socket to the server, never reconnected: when it fails it is closed for good, `closed` says why, and its owner
 * decides about the next one.
 *
 * A watchdog closes it when an answer stays out for `socket_timeout`, and asks with PING when it was silent for
 * `health_check_interval`. It counts its own turns instead of reading the time, so that a process that was stopped
 * for a minute gives the answers waiting in its socket a chance first.
 */
export class RedisSocket {
  readonly closed: Promise<CeleryError | undefined>;
  /** `clock.monotonic()` of the last answer. */
  lastReplyMs: number;
  readonly #client: RedisClient;
  readonly #context: DriverContext;
  readonly #settings: RedisSettings;
  readonly #closed = deferred<CeleryError | undefined>();
  #failure: CeleryError | undefined;
  #lastError: unknown;
  #ended = false;
  #sent = 0;
  #answered = 0;
  /** A blocking command may stay unanswered for so long on top. */
  #blockMs = 0;
  #timer: Timer | undefined;

  private constructor(client: RedisClient, settings: RedisSettings, context: DriverContext) {
    this.#client = client;
    this.#settings = settings;
    this.#context = context;
    this.closed = this.#closed.promise;
    this.lastReplyMs = context.clock.monotonic();
    client.on('error', (error: never) => (this.#lastError = error));
    client.on('end', () => this.#end(new OperationalError('the Redis server closed the connection', this.#cause())));
  }

  /** Connects, authenticates, selects the database. @throws {CeleryError} what stood in the way */
  static async open(
    address: RedisAddress,
    settings: RedisSettings,
    context: DriverContext,
    signal?: AbortSignal,
  ): Promise<RedisSocket> {
    signal?.throwIfAborted();
    const make = await loadClient();
    const socket = new RedisSocket(new make(clientOptions(address, settings)), settings, context);
    const onAbort = (): void => socket.#end(new OperationalError('connecting was given up', { recoverable: true }));
    signal?.addEventListener('abort', onAbort, { once: true });
    const deadlineMs = settings.connectTimeoutMs + settings.socketTimeoutMs;
    try {
      await withDeadline(
        context.clock,
        deadlineMs,
        socket.#handshake(address, settings),
        () => new OperationalError(`no answer from Redis within ${deadlineMs / 1000} s`, { recoverable: true }),
      );
      signal?.throwIfAborted();
    } catch (error) {
      const failure = translate(socket.#lastError ?? error, `cannot connect to Redis at ${describe(address)}`);
      socket.#end(failure);
      throw signal?.aborted ? signal.reason : CeleryError.is(error) ? error : failure;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
    socket.#watch(socket.#sent - socket.#answered, 0, 0);
    return socket;
  }

  async #handshake(address: RedisAddress, settings: RedisSettings): Promise<void> {
    const login = await loginOf(address, settings);
    await this.#client.connect();
    const steps: Promise<unknown>[] = [];
    // Not left to the client: it would go on without a database or a login that was refused.
    if (login) steps.push(this.call('AUTH', ...login));
    if (address.db !== 0) steps.push(this.call('SELECT', address.db));
    if (settings.clientName !== undefined) steps.push(this.call('CLIENT', 'SETNAME', settings.clientName));
    steps.push(this.call('PING'));
    const results = await Promise.allSettled(steps);
    for (const result of results) if (result.status === 'rejected') throw result.reason as Error;
  }

  #cause(): { cause: unknown; recoverable: boolean } {
    return { cause: this.#lastError, recoverable: true };
  }

  /** Where it leads. */
  get remote(): { readonly host: string; readonly port: number } | undefined {
    const { remoteAddress: host, remotePort: port } = this.#client.stream ?? {};
    return host === undefined || port === undefined ? undefined : { host, port };
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What is sent until the event loop's next turn leaves in one write: one wake-up of the server, one answer. */
  gather(): void {
    const { stream } = this.#client;
    if (!stream) return;
    stream.cork();
    setImmediate(() => stream.uncork());
  }

  /** Sends one command. @throws {CeleryError} translated; `OperationalError` when the connection is gone */
  async call(name: string, ...args: Argument[]): Promise<unknown> {
    this.#sent++;
    try {
      return await this.#client.call(name, ...args);
    } catch (error) {
      throw this.#fault(error, name);
    } finally {
      this.#progress();
    }
  }

  /** As `call()`, with texts of the reply as Buffers. */
  async callBuffer(name: string, ...args: Argument[]): Promise<unknown> {
    return this.#counted(name, () => this.#client.callBuffer(name, ...args));
  }

  #progress(): void {
    this.#answered++;
    this.lastReplyMs = this.#context.clock.monotonic();
  }

  #fault(error: unknown, what: string): CeleryError {
    const code = replyCode(error);
    const translated = translate(error, what);
    // What is no reply comes from the client: its socket is broken, even where it has not said so yet.
    if (code === undefined || replyKind(code) === 'connection') this.#end(translated);
    return code === undefined ? (this.#failure ?? translated) : translated;
  }

  /** Runs a script by its digest, sending the text only to a server that does not know it. */
  async run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    this.#sent++;
    try {
      return await this.#client.call('EVALSHA', script.sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw this.#fault(error, script.name);
    } finally {
      this.#progress();
    }
    return this.call('EVAL', script.text, keys.length, ...keys, ...args);
  }

  /** As `run()`, with texts of the reply as Buffers. */
  async runBuffer(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    try {
      return await this.callBuffer('EVALSHA', script.sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (replyCode((error as CeleryError).cause) !== 'NOSCRIPT') throw error;
    }
    return this.callBuffer('EVAL', script.text, keys.length, ...keys, ...args);
  }

  /** Sends several commands in one write; each has its reply or its error. */
  async batch(commands: readonly Command[]): Promise<unknown[]> {
    this.#sent++;
    try {
      const replies = (await this.#client.pipeline(commands.map((one) => ['call', ...one])).exec()) ?? [];
      return replies.map(([error, reply], i) => (error === null ? reply : this.#fault(error, commands[i]?.[0] ?? '')));
    } catch (error) {
      throw this.#fault(error, 'pipeline');
    } finally {
      this.#progress();
    }
  }

  /** Sends a command that the server may answer as late as after `blockMs`. The socket is used for nothing else. */
  async block(blockMs: number, name: string, ...args: Argument[]): Promise<unknown> {
    this.#blockMs = blockMs;
    try {
      return await this.call(name, ...args);
    } finally {
      this.#blockMs = 0;
    }
  }

  psubscribe(patterns: readonly string[]): Promise<unknown> {
    return this.#counted('PSUBSCRIBE', () => this.#client.psubscribe(...patterns));
  }

  punsubscribe(patterns: readonly string[]): Promise<unknown> {
    return this.#counted('PUNSUBSCRIBE', () => this.#client.punsubscribe(...patterns));
  }

  subscribe(channels: readonly string[]): Promise<unknown> {
    return this.#counted('SUBSCRIBE', () => this.#client.subscribe(...channels));
  }

  unsubscribe(channels: readonly string[]): Promise<unknown> {
    return this.#counted('UNSUBSCRIBE', () => this.#client.unsubscribe(...channels));
  }

  async #counted(what: string, send: () => Promise<unknown>): Promise<unknown> {
    this.#sent++;
    try {
      return await send();
    } catch (error) {
      throw this.#fault(error, what);
    } finally {
      this.#progress();
    }
  }

  onPatternMessage(listener: (pattern: string, channel: string, text: string) => void): void {
    this.#client.on('pmessage', listener as (...args: never[]) => void);
  }

  onMessageBuffer(listener: (channel: Buffer, body: Buffer) => void): void {
    this.#client.on('messageBuffer', listener as (...args: never[]) => void);
  }

  onMessage(listener: (channel: string, text: string) => void): void {
    this.#client.on('message', listener as (...args: never[]) => void);
  }

  /** Closes the socket as failed. */
  fail(error: CeleryError): void {
    this.#end(error);
  }

  /** Closes the socket in peace. Harmless twice. */
  close(): void {
    this.#end(undefined);
  }

  #end(failure: CeleryError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure ?? new OperationalError('the Redis connection was closed', { recoverable: true });
    this.#timer?.cancel();
    this.#client.disconnect();
    // disconnect() waits for the peer's FIN; a frozen peer sends none, and commands in flight would wait with it.
    this.#client.stream?.destroy();
    this.#closed.resolve(failure);
  }

  #watch(answeredBefore: number, stuckTurns: number, silentTurns: number): void {
    const { socketTimeoutMs, healthCheckIntervalMs } = this.#settings;
    const turnMs = Math.min(socketTimeoutMs, healthCheckIntervalMs * 2) / CHECKS_PER_DEADLINE;
    const turn = (): void => {
      const answered = this.#answered;
      if (answered !== answeredBefore) return this.#watch(answered, 0, 0);
      if (this.#sent > answered) {
        const limitMs = socketTimeoutMs + this.#blockMs;
        if ((stuckTurns + 1) * turnMs <= limitMs) return this.#watch(answered, stuckTurns + 1, 0);
        return this.#end(new OperationalError(`Redis has not answered for ${limitMs / 1000} s`, { recoverable: true }));
      }
      if ((silentTurns + 1) * turnMs < healthCheckIntervalMs) return this.#watch(answered, 0, silentTurns + 1);
      this.call('PING').catch(() => {});
      this.#watch(answered, 0, 0);
    };
    this.#timer = this.#context.clock.setTimer(turnMs, turn, { keepAlive: false });
  }
}

/** Words of AUTH; undefined: nobody has to say who it is. */
export async function loginOf(address: RedisAddress, settings: RedisSettings): Promise<string[] | undefined> {
  const who = (await settings.credentials?.()) ?? { username: address.username, password: address.password };
  if (who.password === undefined) return undefined;
  return who.username === undefined ? [who.password] : [who.username, who.password];
}

async function loadClient(): Promise<MakeClient> {
  const module = await optional('ioredis', 'a redis:// URL', () => import('ioredis'));
  return module.Redis as unknown as MakeClient;
}

/** Everything that would reconnect, queue or resend behind our back is off. */
function clientOptions(address: RedisAddress, settings: RedisSettings): Readonly<Record<string, unknown>> {
  const { ssl: sentinelSsl, ...sentinel } = settings.sentinelKwargs;
  const target =
    address.kind === 'unix'
      ? { path: address.path }
      : address.kind === 'tcp'
        ? { host: address.host, port: address.port }
        : {
            sentinels: address.sentinels,
            name: settings.masterName,
            sentinelUsername: sentinel['username'],
            sentinelPassword: sentinel['password'],
            sentinelRetryStrategy: null,
            sentinelCommandTimeout: settings.socketTimeoutMs,
            updateSentinels: false,
            enableTLSForSentinelMode: address.tls !== undefined,
            ...(sentinelSsl ? { sentinelTLS: sentinelSsl === true ? {} : sentinelSsl } : {}),
          };
  return {
    ...target,
    ...(address.tls ? { tls: address.tls } : {}),
    lazyConnect: true,
    retryStrategy: null,
    maxRetriesPerRequest: null,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
    connectTimeout: settings.connectTimeoutMs,
    keepAlive: settings.socketKeepalive ? 10_000 : 0,
    protocol: 2,
  };
}

/** Where the address points, without secrets. */
export function describe(address: RedisAddress): string {
  if (address.kind === 'unix') return address.path ?? '';
  if (address.kind === 'sentinel') return address.sentinels.map(({ host, port }) => `${host}:${port}`).join(', ');
  return `${address.host}:${address.port}`;
}
