import { ChannelError, OperationalError } from '../../errors.ts';
import { decodeEnvelope, type Envelope } from '../../protocol/virtual.ts';
import { deferred, type Deferred } from '../../runtime/deferred.ts';
import type { Delivery, DriverContext } from '../transport.ts';
import { RedisDelivery } from './delivery.ts';
import type { KeySpace } from './keys.ts';
import { QUARANTINE_TTL_MS, type Lease, type Ledger } from './ledger.ts';
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
  /** One that it has taken is settled: there is room. */
  readonly release: () => void;
  deliver(delivery: Delivery): void;
  /** Its queue cannot be read. */
  fault(error: Error): void;
}

type Reply = [now: string, faults: (number | string)[], ...messages: (number | string)[]];

/** A claim that was sent. */
interface Claim {
  readonly open: readonly Reader[];
  readonly ready: readonly string[];
  /** Most messages it can bring. */
  readonly asked: number;
  readonly sentMs: number;
  readonly sentWallMs: number;
  readonly reply: Promise<Reply>;
  /** What it brought was handed over. */
  readonly over: Deferred<void>;
  /** Queues and texts that could not be read. */
  faults: number;
}

interface Claimed {
  readonly reader: Reader;
  readonly lease: Lease | undefined;
  readonly text: string;
  readonly tag: string;
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
  #awake = false;
  #running: Promise<void> | undefined;
  #stopped = false;
  #waitsForRoom = false;
  #proofMs: number;
  #claiming: Claim | undefined;

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
    await this.#claiming?.over.promise;
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
    const claim = this.#send([reader]);
    this.#handOver(await this.#take(claim), true);
    if (fault) throw fault;
    return got;
  }

  /** There may be something to claim: room has appeared, or a message. */
  wake(): void {
    if (this.#awake) return;
    this.#awake = true;
    this.#signal.resolve();
  }

  /** A consumer has room for one more, which matters to those that the last claim had to leave out. */
  released(): void {
    if (this.#waitsForRoom || this.#claiming?.open.length !== this.#readers.length) this.wake();
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
    let next: Claim | undefined;
    try {
      while (!this.#stopped || next !== undefined) {
        this.#signal = deferred();
        this.#awake = false;
        const claim = next ?? this.#ask();
        next = undefined;
        if (claim === undefined) {
          await this.#signal.promise;
          // Acknowledgements of the same tick make room together, and leave before the claim.
          await new Promise((resolve) => setImmediate(resolve));
          continue;
        }
        const claimed = await this.#take(claim);
        // There is more: the server looks it out while these run.
        if (claimed.length === claim.asked && !this.#stopped) next = this.#ask();
        this.#handOver(claimed, false);
        claim.over.resolve();
        const nothing = claimed.length === 0 && claim.faults === 0;
        empty = nothing ? empty + 1 : 0;
        // Less than asked for: the queues are empty, and a watcher finds out what has come since for less than a claim.
        const dry = nothing || (claimed.length < claim.asked && claim.faults === 0 && this.#watches(claim.open));
        if (dry && !this.#stopped && this.#hasAskedAll(claim)) await this.#idle(claim.open, empty);
      }
    } catch (error) {
      // Whatever ends this loop ends the connection: a consumer that no longer reads must not look alive.
      this.#command.fail(
        error instanceof OperationalError
          ? error
          : new OperationalError('reading from Redis failed', { cause: error, recoverable: true }),
      );
    }
    this.#claiming?.over.resolve();
  }

  #ordered(): Reader[] {
    if (this.#settings.queueOrderStrategy === 'sorted') {
      return this.#readers.toSorted((a, b) => (a.queue < b.queue ? -1 : 1));
    }
    return [...this.#readers];
  }

  /** Sends a claim for all queues with room; undefined where there is none. */
  #ask(): Claim | undefined {
    const open = this.#ordered().filter((reader) => reader.room() > 0);
    this.#waitsForRoom = open.length === 0;
    return this.#waitsForRoom ? undefined : (this.#claiming = this.#send(open));
  }

  /** A claim that was sent ahead may not know of room that has appeared since. */
  #hasAskedAll({ open }: Claim): boolean {
    return this.#readers.every((reader) => open.includes(reader) || reader.room() <= 0);
  }

  #send(open: readonly Reader[]): Claim {
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
    // Consumers that acknowledge share one window.
    let shared = 0;
    let free = 0;
    for (const reader of open) {
      const most = Math.min(reader.room(), MOST_MESSAGES);
      if (reader.noAck) free += most;
      else shared = Math.max(shared, most);
      args.push(most, reader.noAck ? 1 : 0);
    }
    const { clock } = this.#context;
    const sentMs = clock.monotonic();
    const sentWallMs = clock.now();
    const reply = this.#command.run(
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
    ) as Promise<Reply>;
    return { open, ready, asked: shared + free, sentMs, sentWallMs, reply, over: deferred(), faults: 0 };
  }

  /** Waits for what a claim brings, and counts it. */
  async #take(claim: Claim): Promise<Claimed[]> {
    const { open, ready, sentMs, sentWallMs } = claim;
    const reply = await claim.reply;
    this.#proofMs = this.#context.clock.monotonic();
    this.#ledger.alive(sentMs, sentWallMs);
    const readerOf = (position: number): Reader => open[position % open.length] as Reader;
    claim.faults = reply[1].length;
    for (let i = 0; i < reply[1].length; i += 2) {
      this.#fault(readerOf(Number(reply[1][i])), ready[Number(reply[1][i])] ?? '', String(reply[1][i + 1]));
    }
    const claimed: Claimed[] = [];
    for (let i = 2; i < reply.length; i += 4) {
      const at = reply[i] as number;
      const reader = readerOf(at);
      const tag = reply[i + 1] as string;
      const lease = reader.noAck ? undefined : this.#ledger.add(tag, ready[at] as string, reply[0], sentMs);
      if (lease) reader.taken();
      claimed.push({ reader, lease, tag, text: reply[i + 2] as string, restores: reply[i + 3] as number });
    }
    const last = claimed.at(-1)?.reader;
    if (last && this.#settings.queueOrderStrategy === 'round_robin') this.#rotate(last);
    return claimed;
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

  /** @param always also to a reader that has been removed meanwhile */
  #handOver(claimed: readonly Claimed[], always: boolean): void {
    for (const one of claimed) this.#deliver(one, always || this.#readers.includes(one.reader));
  }

  #deliver({ reader, lease, tag, text, restores }: Claimed, wanted: boolean): void {
    let envelope: Envelope;
    try {
      envelope = decodeEnvelope(text);
    } catch (error) {
      this.#context.log.error({ error, queue: reader.queue, tag }, 'a message cannot be read; it was set aside');
      if (lease) {
        reader.release();
        this.#ledger.quarantine(lease, reader.queue, text).catch(() => {});
      }
      return;
    }
    if (!wanted) {
      if (lease) this.#ledger.restore([lease], { first: true }).catch(() => {});
      return;
    }
    const held = lease && { lease, ledger: this.#ledger, release: reader.release };
    try {
      reader.deliver(new RedisDelivery(envelope, reader.queue, restores, held));
    } catch (error) {
      this.#context.log.error({ error, queue: reader.queue, tag }, 'handing over a message threw');
    }
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

  /** Whether the arrival of a message in any of these queues is noticed without a poll. */
  #watches(open: readonly Reader[]): boolean {
    return open.every(({ queue }) => {
      return this.#keys.ready(queue).every((key) => this.#watchers.get(key)?.blind === false);
    });
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
      watcher.look(() => !this.#stopped && open.some((reader) => this.#readers.includes(reader)));
    }
    return blind;
  }
}
