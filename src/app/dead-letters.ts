import { OperationalError, UsageError } from '../errors.ts';
import { deadLetterQueue, deathOf, originByName, revived } from '../messaging/dead-letter.ts';
import { queue as queueNamed } from '../messaging/entity.ts';
import { moveMessages } from '../messaging/move.ts';
import { withDeadline } from '../runtime/clock.ts';
import { decodeBody, decompressMessage } from '../protocol/decode.ts';
import type { Message } from '../protocol/message.ts';
import type { Channel, Delivery } from '../transports/transport.ts';
import type { Celery } from './celery.ts';

/** A message that killed its workers too often and waits for somebody to look at it. */
export interface DeadLetter {
  /** Task id. */
  readonly id: string;
  /** Task name. */
  readonly task: string;
  /** The queue it came from. */
  readonly queue: string;
  readonly deadLetterQueue: string;
  readonly reason: string;
  /** null: nobody wrote it down. */
  readonly diedAt: Date | null;
  readonly retries: number;
  /** Arguments as the sender described them. */
  readonly args: string;
  readonly kwargs: string;
}

export interface DeadLetterDetails extends DeadLetter {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly contentType: string;
  /** Bytes of the body. */
  readonly size: number;
  /** The arguments themselves; null where the body cannot be read. */
  readonly body: { readonly args: readonly unknown[]; readonly kwargs: Readonly<Record<string, unknown>> } | null;
}

export interface DeadLetterScope {
  /** Queues whose dead letters are meant; a name that ends in `.dlq` is the dead-letter queue itself. @default all that the settings list */
  readonly queues?: readonly string[] | undefined;
}

export interface DeadLetterChoice extends DeadLetterScope {
  /** These task ids. */
  readonly ids?: readonly string[] | undefined;
  /** Only calls of this task. */
  readonly task?: string | undefined;
  /** Most of them. */
  readonly limit?: number | undefined;
  /** Called for each when it is done. */
  readonly onProgress?: ((done: DeadLetter) => void) | undefined;
  /** Ends between two messages. */
  readonly signal?: AbortSignal | undefined;
}

export interface RetryChoice extends DeadLetterChoice {
  /** Sends them here. @default the queue each came from */
  readonly to?: string | undefined;
}

export interface DeadLetterList {
  readonly letters: readonly DeadLetter[];
  /** How many there are, listed or not. */
  readonly total: number;
}

type Work = (channel: Channel, name: string, size: number) => Promise<void>;

const MOST_LISTED = 1_000;
/** A broker that does not answer is given up after this long. */
const CONNECT_MS = 10_000;

/**
 * Looks after dead letters: see them, run them again, drop them.
 *
 * @example
 * for (const { id, task, reason } of (await app.deadLetters.list()).letters) console.log(id, task, reason);
 * await app.deadLetters.retry({ task: 'mail.send' });
 */
export class DeadLetters {
  readonly #app: Celery;

  constructor(app: Celery) {
    this.#app = app;
  }

  /** What is there, the oldest first; it stays. @param options.limit most to list, 1,000 unless it says so */
  async list(options: DeadLetterScope & { readonly limit?: number | undefined } = {}): Promise<DeadLetterList> {
    const letters: DeadLetter[] = [];
    let total = 0;
    const most = options.limit ?? MOST_LISTED;
    await this.#each(options, async (channel, name, size) => {
      total += size;
      await scan(channel, name, (delivery) => {
        if (letters.length >= most) return 'enough';
        letters.push(describe(delivery.message, name));
        return 'keep';
      });
    });
    return { letters, total };
  }

  /** Everything about one; undefined: there is none with this id. */
  async find(id: string, options: DeadLetterScope = {}): Promise<DeadLetterDetails | undefined> {
    let message: Message | undefined;
    let from = '';
    await this.#each(options, async (channel, name) => {
      await scan(channel, name, (delivery) => {
        if (message !== undefined) return 'enough';
        if (idOf(delivery.message) !== id) return 'keep';
        message = delivery.message;
        from = name;
        return 'keep';
      });
    });
    return message && this.#details(message, from);
  }

  /**
   * Runs them again: each is published to its queue, then taken from the dead-letter queue. A process that is killed
   * in between leaves a message on both sides, never on neither.
   * @returns how many
   */
  async retry(choice: RetryChoice = {}): Promise<number> {
    let moved = 0;
    await this.#each(choice, async (channel, name, size) => {
      // What dies again meanwhile is not tried again in the same breath.
      const limit = Math.min((choice.limit ?? Infinity) - moved, size);
      if (limit <= 0) return;
      const before = moved;
      await moveMessages({
        source: channel,
        destination: channel,
        queues: [queueNamed(name)],
        select: (message) => chosen(message, choice),
        readdress: ({ message }) => ({
          message: revived(message),
          to: { exchange: '', routingKey: choice.to ?? originOf(message, name) },
        }),
        limit,
        signal: choice.signal,
        onMoved: (progress) => {
          moved = before + progress.moved;
          choice.onProgress?.(describe(progress.delivery.message, name));
        },
      });
    });
    return moved;
  }

  /** Takes them away for good; there is no undo. @returns how many */
  async drop(choice: DeadLetterChoice = {}): Promise<number> {
    let dropped = 0;
    await this.#each(choice, async (channel, name) => {
      await scan(channel, name, ({ message }) => {
        if (choice.signal?.aborted || dropped >= (choice.limit ?? Infinity)) return 'enough';
        if (!chosen(message, choice)) return 'keep';
        dropped++;
        choice.onProgress?.(describe(message, name));
        return 'drop';
      });
    });
    return dropped;
  }

  async #details(message: Message, name: string): Promise<DeadLetterDetails> {
    const app = this.#app;
    let body: DeadLetterDetails['body'] = null;
    try {
      const plain =
        message.headers['compression'] === undefined
          ? message
          : await decompressMessage(message, app.conf.maxDecompressedBytes);
      const accept = app.serializers.acceptSet(app.conf.acceptContent);
      const { args, kwargs } = decodeBody(plain, app.serializers, accept);
      body = { args, kwargs };
    } catch {
      // It may be dead because nobody can read it.
    }
    const { headers, contentType } = message;
    return { ...describe(message, name), headers, contentType, size: message.body.length, body };
  }

  /** A channel for each queue: one that does not exist ends its channel. */
  async #each(scope: DeadLetterScope, work: Work): Promise<void> {
    const app = this.#app;
    const names = scope.queues ?? app.queues.consumed.map(({ name }) => name);
    if (names.length === 0) throw new UsageError('no queue to look at: name some (queues)');
    const transport = await app.transport();
    const connection = await withDeadline(
      app.clock,
      CONNECT_MS,
      transport.connect(),
      () =>
        new OperationalError(`no connection to ${transport.displayUrl} within ${CONNECT_MS / 1000} s`, {
          recoverable: true,
          code: 'ERR_CONNECT_TIMEOUT',
        }),
    );
    try {
      for (const name of new Set(names.map((one) => (originByName(one) === undefined ? deadLetterQueue(one) : one)))) {
        const channel = await connection.channel();
        const size = await channel.size(name);
        // Some brokers end a channel that reads from a queue which is not there.
        if (size > 0) await work(channel, name, size);
        await channel.close();
      }
    } finally {
      await connection.close();
    }
  }
}

/** Takes each message once; what is kept goes back when all have been seen. */
async function scan(
  channel: Channel,
  name: string,
  visit: (delivery: Delivery) => 'keep' | 'drop' | 'enough',
): Promise<void> {
  const kept: Delivery[] = [];
  try {
    for (;;) {
      const delivery = await channel.get(name);
      if (delivery === undefined) return;
      const verdict = visit(delivery);
      if (verdict === 'drop') await delivery.ack();
      else kept.push(delivery);
      if (verdict === 'enough') return;
    }
  } finally {
    for (const delivery of kept) await delivery.reject({ requeue: true });
  }
}

function chosen(message: Message, { ids, task }: DeadLetterChoice): boolean {
  if (ids !== undefined && !ids.includes(idOf(message))) return false;
  return task === undefined || message.headers['task'] === task;
}

function originOf(message: Message, name: string): string {
  const origin = deathOf(message)?.queue ?? originByName(name);
  if (origin !== undefined) return origin;
  throw new UsageError(`a message in ${name} does not say where it came from: name the queue it shall go to`);
}

function idOf({ headers, properties }: Message): string {
  return String(headers['id'] ?? properties.correlationId ?? '');
}

function describe(message: Message, name: string): DeadLetter {
  const { headers } = message;
  const death = deathOf(message);
  const text = (key: string): string => (typeof headers[key] === 'string' ? headers[key] : '');
  return {
    id: idOf(message),
    task: text('task'),
    queue: death?.queue ?? originByName(name) ?? name,
    deadLetterQueue: name,
    reason: death?.reason ?? '',
    diedAt: death?.atMs == null ? null : new Date(death.atMs),
    retries: typeof headers['retries'] === 'number' ? headers['retries'] : 0,
    args: text('argsrepr'),
    kwargs: text('kwargsrepr'),
  };
}
