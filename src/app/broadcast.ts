import { NotSupported, UsageError } from '../errors.ts';
import type { Matcher } from './node-match.ts';
import { controlExchange, replyExchange } from '../messaging/pidbox.ts';
import { encodeControlRequest, type ControlReply } from '../protocol/control.ts';
import type { Timer } from '../runtime/clock.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { Celery } from './celery.ts';
import { ReplyMailbox } from './reply-mailbox.ts';

/** Who is meant by a command; without any of it every worker is. */
export interface Target {
  /** Node names such as `celery@host`. An empty list means everyone, as in Celery. */
  readonly destination?: string | readonly string[] | undefined;
  /** Nodes whose name matches; ignored when `destination` names some. */
  readonly pattern?: string | undefined;
  /** How `pattern` is read. @default 'glob' */
  readonly matcher?: Matcher | undefined;
}

/** How long to listen for answers. */
export interface Listening {
  /** Longest silence: the wait begins anew with each reply. @default '1s' */
  readonly timeout?: Duration | undefined;
  /** Most replies to wait for. @default the number of destinations, else no limit */
  readonly limit?: number | undefined;
  /** Ends the waiting at once; what came until then is lost. */
  readonly signal?: AbortSignal | undefined;
}

export interface BroadcastOptions extends Target, Listening {
  /** Wait for the workers' answers. @default false */
  readonly reply?: boolean | undefined;
  /** Called with each answer as it comes. */
  readonly onReply?: ((node: string, value: unknown) => void) | undefined;
}

/** One worker's answer: its node name and what the command returned, or `{ error: text }`. */
export interface NodeReply {
  readonly node: string;
  readonly value: unknown;
}

const DEFAULT_TIMEOUT_MS = 1_000;
/** More answers than any fleet has workers: a peer that answers without end must not fill the memory. */
const MOST_REPLIES = 100_000;

function destinations(destination: Target['destination']): readonly string[] | null {
  if (destination === undefined) return null;
  // Python tests a string by substring, so one name has to travel as a list.
  const names = typeof destination === 'string' ? [destination] : destination;
  return names.length === 0 ? null : names;
}

/**
 * Sends commands to workers and collects what they answer.
 * Source: `kombu.pidbox.Mailbox._broadcast`. Order: reply queue, request, then replies.
 */
export class Broadcaster {
  readonly #app: Celery;
  readonly #mailbox: ReplyMailbox;

  constructor(app: Celery) {
    this.#app = app;
    this.#mailbox = new ReplyMailbox(app);
  }

  /**
   * @returns the replies in the order they came; empty when none was asked for
   * @throws {OperationalError} when the broker is out of reach
   */
  async send(
    method: string,
    args: Readonly<Record<string, unknown>>,
    options: BroadcastOptions = {},
  ): Promise<readonly NodeReply[]> {
    options.signal?.throwIfAborted();
    const transport = await this.#app.transport();
    if (!transport.capabilities.fanout) {
      throw new NotSupported(
        `remote control needs a broker that reaches every worker (fan-out); ${transport.name} at ${transport.displayUrl} does not`,
      );
    }
    const destination = destinations(options.destination);
    const timeoutMs = durationMs(options.timeout ?? DEFAULT_TIMEOUT_MS);
    if (!options.reply) {
      await this.#publish(method, args, destination, timeoutMs, options);
      return [];
    }
    const ticket = this.#app.random.uuid();
    const limit = Math.min(options.limit ?? destination?.length ?? MOST_REPLIES, MOST_REPLIES);
    const collecting = new Collecting(this.#app, limit, timeoutMs, options);
    try {
      await this.#mailbox.listen(ticket, collecting);
      await this.#publish(method, args, destination, timeoutMs, options, ticket);
      return await collecting.replies();
    } finally {
      collecting.end();
      await this.#mailbox.release(ticket);
    }
  }

  async #publish(
    method: string,
    args: Readonly<Record<string, unknown>>,
    destination: readonly string[] | null,
    timeoutMs: number,
    options: BroadcastOptions,
    ticket?: string,
  ): Promise<void> {
    const { conf, serializers, lamport, clock, oid } = this.#app;
    const requests = controlExchange(conf.controlExchange);
    const replies = replyExchange(conf.controlExchange);
    const message = encodeControlRequest(
      {
        method,
        arguments: args,
        destination,
        pattern: options.pattern,
        matcher: options.pattern === undefined ? null : (options.matcher ?? 'glob'),
        ticket,
        replyTo: ticket === undefined ? undefined : { exchange: replies.name, routingKey: oid },
        clock: lamport.tick(),
      },
      (value) => serializers.encode(value, conf.taskSerializer),
      timeoutMs > 0 ? (clock.now() + timeoutMs) / 1000 : 0,
    );
    await this.#app.publisher.publishRaw(
      message,
      { exchange: requests.name, routingKey: '' },
      { declares: [requests], signal: options.signal },
    );
  }
}

/** Waits for answers to one question: until there are enough, or a silence was too long. */
class Collecting {
  readonly #app: Celery;
  readonly #limit: number;
  readonly #timeoutMs: number;
  readonly #options: BroadcastOptions;
  readonly #received: NodeReply[] = [];
  #error: Error | undefined;
  #timer: Timer | undefined;
  #wake: (() => void) | undefined;
  #done = false;
  readonly #onAbort = (): void => this.lost((this.#options.signal?.reason as Error) ?? new UsageError('aborted'));

  constructor(app: Celery, limit: number, timeoutMs: number, options: BroadcastOptions) {
    this.#app = app;
    this.#limit = limit;
    this.#timeoutMs = timeoutMs;
    this.#options = options;
    if (options.signal?.aborted) this.#onAbort();
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  reply({ node, value }: ControlReply): void {
    if (this.#done) return;
    this.#received.push({ node, value });
    this.#options.onReply?.(node, value);
    if (this.#received.length >= this.#limit) this.end();
    else if (this.#timer !== undefined) this.#arm();
  }

  lost(error: Error): void {
    if (this.#done) return;
    this.#error = error;
    this.end();
  }

  async replies(): Promise<readonly NodeReply[]> {
    if (!this.#done) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#arm();
      });
    }
    if (this.#error !== undefined) throw this.#error;
    return this.#received;
  }

  /** Harmless twice. */
  end(): void {
    this.#done = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#wake?.();
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = this.#app.clock.setTimer(this.#timeoutMs, () => this.end());
  }
}
