import { ChannelError, NotSupported } from '../../errors.ts';
import type { Message } from '../../protocol/message.ts';
import { encodeEnvelope } from '../../protocol/virtual.ts';
import { deferred, type Deferred } from '../../runtime/deferred.ts';
import type { Random } from '../../runtime/random.ts';
import type { Destination, PublishOptions } from '../transport.ts';
import type { BindingTable } from './bindings.ts';
import type { KeySpace } from './keys.ts';
import { DELAY, ONCE } from './scripts.ts';
import type { Command, RedisSocket } from './socket.ts';

/** A list's messages leave at this many without waiting for the tick's end: the server works while more are built. */
const MOST_VALUES = 32;
const MOST_CHARACTERS = 2 ** 20;
/** A reply that nobody collects is dropped after so long (pidbox: message TTL of reply queues). */
const REPLY_TTL_MS = 300_000;
/** How long it is remembered that a message was put into a queue. */
const ONCE_MS = 3_600_000;

interface Push {
  readonly key: string;
  readonly values: string[];
  characters: number;
  readonly done: Deferred<unknown>;
}

/**
 * Sends messages. What is published in the same tick for the same list travels in one command, and everything of the
 * tick in one write; each call learns the fate of its own command.
 */
export class Publisher {
  readonly #socket: RedisSocket;
  readonly #keys: KeySpace;
  readonly #bindings: BindingTable;
  readonly #random: Random;
  readonly #deadletterQueue: string | undefined;
  #scheduled = false;
  #open = new Map<string, Push>();
  #commands: { readonly command: Command; readonly done: Deferred<unknown> }[] = [];
  #pushes: Push[] = [];
  /** Bindings of an exchange, read once for all publishes of a tick. */
  #tables = new Map<string, Promise<string[]>>();

  constructor(
    socket: RedisSocket,
    keys: KeySpace,
    bindings: BindingTable,
    random: Random,
    deadletterQueue: string | undefined,
  ) {
    this.#socket = socket;
    this.#keys = keys;
    this.#bindings = bindings;
    this.#random = random;
    this.#deadletterQueue = deadletterQueue;
  }

  publish(message: Message, to: Destination, options: PublishOptions = {}): Promise<unknown> {
    if (to.exchange === '') return this.#toQueue(to.routingKey, message, to, options);
    if (this.#bindings.type(to.exchange) === 'fanout') return this.#toSubscribers(message, to, options);
    return this.#toBound(message, to, options);
  }

  #envelope(message: Message, { exchange, routingKey }: Destination, deliveryTag: string): string {
    return encodeEnvelope(message, { exchange, routingKey, deliveryTag });
  }

  #toQueue(queue: string, message: Message, to: Destination, options: PublishOptions): Promise<unknown> {
    const { delayMs, once } = options;
    const key = this.#keys.readyFor(queue, message.properties.priority);
    const tag = this.#random.uuid();
    const text = this.#envelope(message, to, tag);
    if (delayMs !== undefined && delayMs > 0) {
      return this.#socket.run(
        DELAY,
        [this.#keys.delayed, this.#keys.delayedMessages],
        [tag, delayMs / 1000, key, text],
      );
    }
    if (once !== undefined) return this.#socket.run(ONCE, [this.#keys.once(queue, once), key], [ONCE_MS, text]);
    return this.#push(key, text);
  }

  async #toSubscribers(message: Message, to: Destination, { delayMs, mandatory }: PublishOptions): Promise<void> {
    if (delayMs !== undefined && delayMs > 0) {
      throw new NotSupported(`messages to the fanout exchange "${to.exchange}" cannot be delayed on Redis`);
    }
    const text = this.#envelope(message, to, this.#random.uuid());
    const receivers = await this.#command(['PUBLISH', this.channel(to), text]);
    if (mandatory && receivers === 0) throw unroutable(to);
  }

  /** Pub/sub channel of a fan-out exchange. Source: `Channel._get_publish_topic`. */
  channel({ exchange, routingKey }: Destination): string {
    return `${this.#keys.fanoutPrefix}${exchange}${this.#keys.fanoutPatterns && routingKey !== '' ? `/${routingKey}` : ''}`;
  }

  async #toBound(message: Message, to: Destination, options: PublishOptions): Promise<void> {
    const queues = await this.#route(to);
    if (queues.length === 0 && options.mandatory) throw unroutable(to);
    // A tag of its own for each copy: two holders of one tag would settle each other's record.
    await Promise.all(queues.map((queue) => this.#toQueue(queue, message, to, options)));
  }

  async #route({ exchange, routingKey }: Destination): Promise<string[]> {
    let table = this.#tables.get(exchange);
    if (!table) {
      table = this.#command(['SMEMBERS', this.#keys.binding(exchange)]) as Promise<string[]>;
      this.#tables.set(exchange, table);
    }
    const queues = this.#bindings.route(exchange, await table, routingKey);
    if (queues.length > 0) return queues;
    // The set may have been evicted or flushed; what was declared here is written again.
    const members = this.#bindings.declared(exchange);
    const known = this.#bindings.route(exchange, members, routingKey);
    if (known.length > 0) await this.#command(['SADD', this.#keys.binding(exchange), ...members]);
    else if (this.#deadletterQueue !== undefined && this.#bindings.type(exchange) !== 'topic') {
      return [this.#deadletterQueue];
    }
    return known;
  }

  #push(key: string, text: string): Promise<unknown> {
    let push = this.#open.get(key);
    if (!push || push.characters + text.length > MOST_CHARACTERS) {
      push = { key, values: [], characters: 0, done: deferred<unknown>() };
      this.#open.set(key, push);
      this.#pushes.push(push);
      this.#schedule();
    }
    const { done } = push;
    push.values.push(text);
    push.characters += text.length;
    if (push.values.length >= MOST_VALUES) this.#flush();
    return done.promise;
  }

  #command(command: Command): Promise<unknown> {
    const done = deferred<unknown>();
    this.#commands.push({ command, done });
    this.#schedule();
    return done.promise;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const waiting = this.#commands;
    for (const { key, values, done } of this.#pushes) {
      waiting.push({ command: ['LPUSH', key, ...values], done });
      if (key.includes('.reply.') && key.endsWith('.pidbox')) {
        waiting.push({ command: ['PEXPIRE', key, REPLY_TTL_MS], done: deferred<unknown>() });
      }
    }
    this.#scheduled = false;
    this.#open = new Map();
    this.#pushes = [];
    this.#commands = [];
    this.#tables = new Map();
    const [only] = waiting;
    if (only === undefined) return;
    if (waiting.length === 1) {
      this.#socket.call(...only.command).then(only.done.resolve, only.done.reject);
      return;
    }
    this.#socket.batch(waiting.map(({ command }) => command)).then(
      (replies) =>
        waiting.forEach(({ done }, i) => {
          const reply = replies[i];
          if (reply instanceof Error) {
            done.promise.catch(() => {});
            done.reject(reply);
          } else done.resolve(reply);
        }),
      (error: unknown) =>
        waiting.forEach(({ done }) => {
          done.promise.catch(() => {});
          done.reject(error);
        }),
    );
  }
}

function unroutable({ exchange, routingKey }: Destination): ChannelError {
  return new ChannelError(`no queue is bound to exchange "${exchange}" by the routing key "${routingKey}"`);
}
