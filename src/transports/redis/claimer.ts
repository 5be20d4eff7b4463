import { ChannelError, OperationalError } from '../../errors.ts';
import { decodeEnvelope, type Envelope } from '../../protocol/virtual.ts';
import { deferred } from '../../runtime/deferred.ts';
import type { Delivery, DriverContext } from '../transport.ts';
import { RedisDelivery } from './delivery.ts';
import type { KeySpace } from './keys.ts';
import { QUARANTINE_TTL_MS, type Ledger } from './ledger.ts';
import type { RedisSettings } from './options.ts';
import { CLAIM } from './scripts.ts';
import type { Argument, RedisSocket } from './socket.ts';
import { Watcher } from './watcher.ts';

/*
 * claim    one script call that takes what is ready, for all queues with room, and registers it
 * room     how many more messages a consumer may hold
 * idle     nothing was ready: wait until a watcher sees something, or room appears in another queue
 */

/** A queue as the claimer sees its consumer. */
export interface Reader {
  readonly queue: string;
  readonly noAck: boolean;
  /** Messages it may still take, if no other reader takes any; can be negative. */
  room(): number;
  taken(): void;
  release(): void;
  deliver(delivery: Delivery): void;
  /** Its queue cannot be read. */
  fault(error: Error): void;
}

interface Claimed {
  readonly reader: Reader;
  readonly readyKey: string;
  readonly tag: string;
  readonly text: string;
  readonly restores: number;
}

/** Most messages and bytes in one claim: the server serves nobody else meanwhile, and it all stands in memory. */
const MOST_MESSAGES = 200;
const MOST_BYTES = 8 * 2 ** 20;
/** Each costs a socket; further lists are polled. */
const MOST_WATCHERS = 16;
const FIRST_POLL_MS = 50;
/** A loop that finds nothing although watchers say otherwise has rivals; it steps back a little. */
const RIVALRY_MS = 20;

export class Claimer {
  readonly #command: RedisSocket;
  readonly #openSocket: () => Promise<RedisSocket>;
  readonly #keys: KeySpace;
  readonly #settings: RedisSettings;
  readonly #ledger: Ledger;
  readonly #context: DriverContext;
  #readers: Reader[] = [];
  #watchers = new Map<string, Watcher>();
  #sockets: RedisSocket[] = [];
  #signal = deferred();
  #running: Promise<void> | undefined;
  #stopped = false;
  #waitsForRoom = false;
  #proofMs: number;
  #claiming: Promise<unknown> = Promise.resolve();

  constructor(
    command: RedisSocket,
    openSocket: () => Promise<RedisSocket>,
    keys: KeySpace,
    settings: RedisSettings,
    ledger: Ledger,
    context: DriverContext,
  ) {
    this.#command = command;
    this.#openSocket = openSocket;
    this.#keys = keys;
    this.#settings = settings;
    this.#ledger = ledger;
    this.#context = context;
    this.#proofMs = context.clock.monotonic();
  }

  /** `clock.monotonic()` of the last answered look at the queues; while there is no room, of any answer. */
  get proofMs(): number {
    return this.#waitsForRoom ? Math.max(this.#proofMs, this.#command.lastReplyMs) : this.#proofMs;
  }

  add(reader: Reader): void {
    this.#readers.push(reader);
    this.#running ??= this.#run();
    this.wake();
  }

  /** Resolves when nothing more will be delivered to it. */
  async remove(reader: Reader): Promise<void> {
    this.#readers = this.#readers.filter((one) => one !== reader);
    this.wake();
    await this.#claiming;
  }

  /** Takes one message, if there is one. */
  async once(queue: string): Promise<Delivery | undefined> {
    let got: Delivery | undefined;
    let fault: Error | undefined;
    const reader: Reader = {
      queue,
      noAck: false,
      room: () => 1,
      taken: () => {},
      release: () => {},
      deliver: (delivery) => (got = delivery),
      fault: (error) => (fault = error),
    };
    await this.#claim([reader], true);
    if (fault) throw fault;
    return got;
  }

  /** There may be something to claim: room has appeared, or a message. */
  wake(): void {
    this.#signal.resolve();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#readers = [];
    this.wake();
    await this.#running;
    for (const socket of this.#sockets) socket.close();
  }

  async #run(): Promise<void> {
    let empty = 0;
    try {
      while (!this.#stopped) {
        this.#signal = deferred();
        const open = this.#ordered().filter((reader) => reader.room() > 0);
        this.#waitsForRoom = open.length === 0;
        if (this.#waitsForRoom) {
          await this.#signal.promise;
          // Acknowledgements of the same tick make room together, and leave before the claim.
          await new Promise((resolve) => setImmediate(resolve));
          continue;
        }
        const claiming = this.#claim(open);
        this.#claiming = claiming.catch(() => {});
        const count = await claiming;
        empty = count > 0 ? 0 : empty + 1;
        if (count === 0 && !this.#stopped) await this.#idle(open, empty);
      }
    } catch (error) {
      // Whatever ends this loop ends the connection: a consumer that no longer reads must not look alive.
      this.#command.fail(
        error instanceof OperationalError
          ? error
          : new OperationalError('reading from Redis failed', { cause: error, recoverable: true }),
      );
    }
  }

  #ordered(): Reader[] {
    if (this.#settings.queueOrderStrategy === 'sorted') {
      return this.#readers.toSorted((a, b) => (a.queue < b.queue ? -1 : 1));
    }
    return [...this.#readers];
  }

  /** @returns how many messages were taken */
  async #claim(open: readonly Reader[], always = false): Promise<number> {
    const readyByStep = this.#keys.ready('').map((_, step) => open.map(({ queue }) => this.#keys.ready(queue)[step]));
    const ready = readyByStep.flat() as string[];
    const args: Argument[] = [
      this.#ledger.id,
      this.#settings.leaseMs / 1000,
      MOST_BYTES,
      this.#keys.restores,
      QUARANTINE_TTL_MS,
      open.length,
    ];
    for (const reader of open) args.push(Math.min(reader.room(), MOST_MESSAGES), reader.noAck ? 1 : 0);
    const { clock } = this.#context;
    const sentMs = clock.monotonic();
    const sentWallMs = clock.now();
    const reply = (await this.#command.run(
      CLAIM,
      [
        this.#keys.unackedIndex,
        this.#keys.unacked,
        this.#ledger.ownedKey,
        this.#keys.workers,
        ...ready,
        ...open.map(({ queue }) => this.#keys.quarantine(queue)),
      ],
      args,
    )) as [now: string, faults: (number | string)[], ...messages: (number | string)[]];
    this.#proofMs = clock.monotonic();
    this.#ledger.alive(sentMs, sentWallMs);
    const readerOf = (position: number): Reader => open[position % open.length] as Reader;
    for (let i = 0; i < reply[1].length; i += 2) {
      this.#fault(readerOf(Number(reply[1][i])), ready[Number(reply[1][i])] ?? '', String(reply[1][i + 1]));
    }
    let count = 0;
    let last: Reader | undefined;
    for (let i = 2; i < reply.length; i += 4) {
      const at = reply[i] as number;
      last = readerOf(at);
      const claimed: Claimed = {
        reader: last,
        readyKey: ready[at] as string,
        tag: reply[i + 1] as string,
        text: reply[i + 2] as string,
        restores: reply[i + 3] as number,
      };
      this.#deliver(claimed, reply[0], sentMs, always || this.#readers.includes(last));
      count++;
    }
    if (last && this.#settings.queueOrderStrategy === 'round_robin') this.#rotate(last);
    return count + reply[1].length;
  }

  #fault(reader: Reader, key: string, error: string): void {
    if (error === 'QUARANTINED') {
      this.#context.log.error(
        { queue: reader.queue, quarantine: this.#keys.quarantine(reader.queue) },
        'a text in the queue is no message; it was moved to the quarantine list',
      );
      return;
    }
    this.#readers = this.#readers.filter((one) => one !== reader);
    reader.fault(new ChannelError(`the queue "${reader.queue}" cannot be read, key ${JSON.stringify(key)}: ${error}`));
  }

  #deliver({ reader, readyKey, tag, text, restores }: Claimed, score: string, sentMs: number, wanted: boolean): void {
    const lease = reader.noAck ? undefined : this.#ledger.add(tag, readyKey, score, sentMs);
    let envelope: Envelope;
    try {
      envelope = decodeEnvelope(text);
    } catch (error) {
      this.#context.log.error({ error, queue: reader.queue, tag }, 'a message cannot be read; it was set aside');
      if (lease) this.#ledger.quarantine(lease, reader.queue, text).catch(() => {});
      return;
    }
    if (!wanted) {
      if (lease) this.#ledger.restore([lease], { first: true }).catch(() => {});
      return;
    }
    const held = lease && { lease, ledger: this.#ledger, release: () => this.#release(reader) };
    if (lease) reader.taken();
    try {
      reader.deliver(new RedisDelivery(envelope, reader.queue, restores, held));
    } catch (error) {
      this.#context.log.error({ error, queue: reader.queue, tag }, 'handing over a message threw');
    }
  }

  #release(reader: Reader): void {
    reader.release();
    this.wake();
  }

  /** The queue that was served goes to the end. */
  #rotate(served: Reader): void {
    const at = this.#readers.indexOf(served);
    if (at >= 0 && this.#readers.length > 1) this.#readers = this.#readers.toSpliced(at, 1).concat(served);
  }

  async #idle(open: readonly Reader[], empty: number): Promise<void> {
    const { clock, random } = this.#context;
    const keys = open.flatMap(({ queue }) => this.#keys.ready(queue));
    const blind = await this.#watch(keys, open);
    if (empty > 3) {
      const rivals = deferred();
      clock.setTimer(random.next() * Math.min(empty, 5) * RIVALRY_MS * 0.2, rivals.resolve, { keepAlive: false });
      await rivals.promise;
    }
    if (!blind) return this.#signal.promise;
    const pollMs = Math.min(FIRST_POLL_MS * 1.5 ** Math.min(empty, 20), this.#settings.pollingIntervalMs);
    const timer = clock.setTimer(pollMs, () => this.wake(), { keepAlive: false });
    await this.#signal.promise;
    timer.cancel();
  }

  /** @returns whether a key must be polled */
  async #watch(keys: readonly string[], open: readonly Reader[]): Promise<boolean> {
    let blind = false;
    for (const key of keys) {
      let watcher = this.#watchers.get(key);
      if (!watcher) {
        if (this.#watchers.size >= MOST_WATCHERS) {
          blind = true;
          continue;
        }
        const socket = await this.#openSocket();
        if (this.#stopped) {
          socket.close();
          return false;
        }
        this.#sockets.push(socket);
        watcher = new Watcher(
          key,
          socket,
          () => this.wake(),
          () => (this.#proofMs = this.#context.clock.monotonic()),
        );
        this.#watchers.set(key, watcher);
      }
      blind ||= watcher.blind;
      watcher.look(() => !this.#stopped && open.some((reader) => this.#readers.includes(reader) && reader.room() > 0));
    }
    return blind;
  }
}
