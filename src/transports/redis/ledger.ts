import { OperationalError } from '../../errors.ts';
import { sleep } from '../../runtime/clock.ts';
import { deferred, type Deferred } from '../../runtime/deferred.ts';
import type { DriverContext } from '../transport.ts';
import type { KeySpace } from './keys.ts';
import type { RedisSettings } from './options.ts';
import { putBack, type Held } from './restore.ts';
import { ACK, HOLD, LEAVE, QUARANTINE, RENEW } from './scripts.ts';
import type { RedisSocket } from './socket.ts';

/*
 * lease    one message that this channel has claimed and not settled
 * score    what its entry in `unacked_index` says since we wrote it; another score means another holder
 * ledger   the leases of one channel. It outlives the connection: what still runs keeps its lease, and is settled,
 *          through the next connection of the same transport
 */

export interface Lease {
  readonly tag: string;
  /** List it was taken from. */
  readonly readyKey: string;
  score: string;
  /** `clock.monotonic()` before the claim or renewal that wrote the score. */
  scoredMs: number;
  state: 'held' | 'settling' | 'settled' | 'lost';
  /** That it runs is written down. */
  noted: boolean;
  /** What the application holds. Weak once the connection is gone, see `orphan()`. */
  delivery: Told | WeakRef<Told> | undefined;
}

interface Told {
  /** The lease is lost. */
  lost(): void;
}

interface Batch {
  readonly leases: Lease[];
  readonly done: Deferred<void>;
}

/** Most leases in one script call. */
const PAGE = 500;
/** How long settling waits for another connection after its own was lost. */
const REATTACH_MS = 60_000;
/** How long it stands written down that a message ran when its worker died. */
const NOTE_TTL_MS = 86_400_000;
export const QUARANTINE_TTL_MS = 30 * 86_400_000;

export class Ledger {
  /** Name of this holder on the server. */
  readonly id: string;
  readonly #keys: KeySpace;
  readonly #settings: RedisSettings;
  readonly #context: DriverContext;
  readonly #leases = new Map<string, Lease>();
  #socket: RedisSocket | undefined;
  #attached = deferred<RedisSocket>();
  #batch: Batch | undefined;
  #renewing: Promise<void> | undefined;
  #reconciled = false;
  /** When the last answered sign of life was sent, by both clocks: a machine that slept stops only one of them. */
  #aliveMs = Number.NEGATIVE_INFINITY;
  #aliveWallMs = Number.NEGATIVE_INFINITY;
  /** `clock.monotonic()` when it last had been silent for too long: older scores prove nothing until they are renewed. */
  #lapsedMs = Number.NEGATIVE_INFINITY;
  /** Leases of a lost connection whose deliveries nobody has any more. */
  #dropped: Lease[] = [];
  readonly #collected = new FinalizationRegistry<Lease>((lease) => this.#dropped.push(lease));

  constructor(id: string, keys: KeySpace, settings: RedisSettings, context: DriverContext) {
    this.id = id;
    this.#keys = keys;
    this.#settings = settings;
    this.#context = context;
  }

  get size(): number {
    return this.#leases.size;
  }

  /** Its connection was lost, and nothing is left to settle. */
  get finished(): boolean {
    return this.#reconciled && this.#leases.size === 0;
  }

  get ownedKey(): string {
    return this.#keys.owned(this.id);
  }

  /** Commands go through this socket from now on. */
  attach(socket: RedisSocket): void {
    this.#socket = socket;
    this.#attached.resolve(socket);
  }

  /** The connection is lost; settling waits for the next one. */
  detach(): void {
    if (!this.#socket) return;
    this.#socket = undefined;
    this.#attached = deferred<RedisSocket>();
  }

  /**
   * The application may drop deliveries of a lost connection without settling them (AMQP would redeliver them by
   * itself). Those that are garbage are put back; those that still run keep their lease.
   */
  orphan(): void {
    for (const lease of this.#leases.values()) {
      if (lease.delivery === undefined || lease.delivery instanceof WeakRef) continue;
      this.#collected.register(lease.delivery, lease);
      lease.delivery = new WeakRef(lease.delivery);
    }
  }

  add(tag: string, readyKey: string, score: string, scoredMs: number): Lease {
    const lease: Lease = { tag, readyKey, score, scoredMs, state: 'held', noted: false, delivery: undefined };
    const previous = this.#leases.get(tag);
    if (previous?.state === 'held') previous.state = 'lost';
    this.#leases.set(tag, lease);
    return lease;
  }

  /** A script that says "this connection lives" was answered; it had been sent at these times. */
  alive(sentMs: number, sentWallMs: number): void {
    if (this.#leases.size > 0 && !this.#proven()) this.#lapsedMs = sentMs;
    this.#aliveMs = sentMs;
    this.#aliveWallMs = sentWallMs;
  }

  #proven(): boolean {
    const { clock } = this.#context;
    const silentMs = Math.max(clock.monotonic() - this.#aliveMs, clock.now() - this.#aliveWallMs);
    return silentMs < this.#settings.leaseMs * 0.8;
  }

  held(lease: Lease): true | Promise<boolean> {
    if (lease.state === 'lost') return Promise.resolve(false);
    if (lease.state !== 'held') return true;
    const ageMs = this.#context.clock.monotonic() - lease.scoredMs;
    const lapsed = lease.scoredMs < this.#lapsedMs;
    if (this.#proven() && !lapsed && ageMs < this.#settings.visibilityTimeoutMs * 0.8) return true;
    return this.#ask(lease);
  }

  async #ask(lease: Lease): Promise<boolean> {
    const args = [this.#settings.leaseMs / 1000, this.id, lease.tag];
    const held = await this.#through((socket) => {
      return socket.run(HOLD, [this.#keys.workers, this.#keys.unackedIndex], [...args, lease.score]);
    });
    if (held !== 1 && lease.state === 'held') this.#lose(lease);
    return lease.state !== 'lost';
  }

  /** Writes down that a message runs. @returns how many earlier runs were written down, and their holders died */
  async noteRun(lease: Lease): Promise<number> {
    const key = this.#keys.run(lease.tag);
    const replies = await this.#through((socket) =>
      socket.batch([
        ['SADD', key, this.id],
        ['PEXPIRE', key, NOTE_TTL_MS],
        ['SCARD', key],
      ]),
    );
    const failed = replies.find((reply) => reply instanceof Error);
    if (failed !== undefined) throw failed;
    lease.noted = true;
    return Number(replies[2]) - 1;
  }

  /** Before they are settled: whoever gets one of them next must not find a note of somebody who lives. */
  async #crossOut(leases: readonly Lease[]): Promise<void> {
    const noted = leases.filter((lease) => lease.noted);
    if (noted.length === 0) return;
    const commands = noted.map(({ tag }) => ['SREM', this.#keys.run(tag), this.id] as const);
    await this.#through((socket) => socket.batch(commands));
  }

  /** Resolves when the server has forgotten the message, or refused because somebody else holds it. */
  ack(lease: Lease): Promise<void> {
    if (lease.state !== 'held') return Promise.resolve();
    lease.state = 'settling';
    lease.delivery = undefined;
    const batch = (this.#batch ??= this.#openBatch());
    batch.leases.push(lease);
    return batch.done.promise;
  }

  #openBatch(): Batch {
    const batch: Batch = { leases: [], done: deferred() };
    batch.done.promise.catch(() => {});
    setImmediate(() => {
      // The room that this makes is claimed in the same turn.
      this.#socket?.gather();
      void this.#flush(batch);
    });
    return batch;
  }

  async #flush(batch: Batch): Promise<void> {
    if (this.#batch === batch) this.#batch = undefined;
    try {
      // A renewal on its way has changed scores that only its answer will tell.
      await this.#renewing;
      for (let i = 0; i < batch.leases.length; i += PAGE) await this.#forget(batch.leases.slice(i, i + PAGE));
      batch.done.resolve();
    } catch (error) {
      for (const lease of batch.leases) if (lease.state === 'settling') lease.state = 'held';
      batch.done.reject(error);
    }
  }

  async #forget(leases: readonly Lease[]): Promise<void> {
    await this.#crossOut(leases);
    const keys = [this.#keys.unackedIndex, this.#keys.unacked, this.ownedKey];
    const args: string[] = [];
    for (const { tag, score } of leases) args.push(tag, score);
    const lost = (await this.#through((socket) => socket.run(ACK, keys, args))) as number[];
    for (const lease of leases) this.#close(lease, 'settled');
    if (lost.length === 0) return;
    const tags = lost.map((at) => leases[at]?.tag);
    this.#context.log.warn(
      { tags },
      'messages were acknowledged whose lease had been lost; they may run, or have run, elsewhere',
    );
  }

  #close(lease: Lease, state: 'settled' | 'lost'): void {
    lease.state = state;
    if (this.#leases.get(lease.tag) === lease) this.#leases.delete(lease.tag);
  }

  #lose(lease: Lease): void {
    this.#close(lease, 'lost');
    this.#context.log.warn({ tag: lease.tag }, 'the lease of a message was lost: another worker may have it');
    const { delivery } = lease;
    (delivery instanceof WeakRef ? delivery.deref() : delivery)?.lost();
  }

  /** Puts one message back. `first`: it is served next, else last. */
  async reject(lease: Lease, requeue: boolean): Promise<void> {
    if (!requeue) return this.ack(lease);
    if (lease.state !== 'held') return;
    await this.restore([lease], { first: false });
  }

  /** Puts messages back on purpose, which does not count as a delivery that failed, and forgets them. */
  async restore(leases: readonly Lease[], { first }: { readonly first: boolean }): Promise<void> {
    const held = leases.filter(({ state }) => state === 'held');
    for (const lease of held) lease.state = 'settling';
    await this.#renewing;
    await this.#crossOut(held);
    for (let i = 0; i < held.length; i += PAGE) {
      const page: Held[] = held
        .slice(i, i + PAGE)
        .map(({ tag, score, readyKey }) => ({ tag, score, targets: [readyKey], record: undefined }));
      const options = { first, counted: false, owned: this.ownedKey, deadOwner: undefined };
      await this.#through((socket) => putBack(socket, this.#keys, page, options));
    }
    for (const lease of held) this.#close(lease, 'settled');
  }

  /** Puts everything back that is not settled, newest first, so that the oldest is served first again. */
  async restoreAll(): Promise<void> {
    await this.restore([...this.#leases.values()].toReversed(), { first: true });
  }

  async quarantine(lease: Lease, queue: string, text: string): Promise<void> {
    const keys = [this.#keys.unackedIndex, this.#keys.unacked, this.ownedKey, this.#keys.quarantine(queue)];
    const args = [lease.tag, lease.score, text, QUARANTINE_TTL_MS];
    await this.#through((socket) => socket.run(QUARANTINE, keys, args));
    this.#close(lease, 'settled');
  }

  /** Renews what has grown old, and puts back what was dropped. */
  async tend(): Promise<void> {
    const dropped = this.#dropped;
    if (dropped.length > 0) {
      this.#dropped = [];
      await this.restore(dropped, { first: true });
    }
    // A third of the smallest timeout that any peer may use: Python's default is an hour.
    const everyMs = Math.min(this.#settings.visibilityTimeoutMs, 3_600_000) / 3;
    const before = Math.max(this.#context.clock.monotonic() - everyMs, this.#lapsedMs);
    const old: Lease[] = [];
    for (const lease of this.#leases.values()) if (lease.scoredMs < before && lease.state === 'held') old.push(lease);
    for (let i = 0; i < old.length; i += PAGE) {
      this.#renewing = this.#renew(old.slice(i, i + PAGE));
      try {
        await this.#renewing;
      } finally {
        this.#renewing = undefined;
      }
    }
  }

  async #renew(leases: readonly Lease[]): Promise<void> {
    const sentMs = this.#context.clock.monotonic();
    const args: string[] = [];
    for (const { tag, score } of leases) args.push(tag, score);
    const socket = this.#socket;
    if (!socket) return;
    const [now, ...lost] = (await socket.run(RENEW, [this.#keys.unackedIndex], args)) as [string, ...number[]];
    const gone = new Set(lost);
    leases.forEach((lease, at) => {
      if (gone.has(at)) {
        if (lease.state === 'held') this.#lose(lease);
      } else {
        lease.score = now;
        lease.scoredMs = sentMs;
      }
    });
  }

  /**
   * After the connection was lost: what the server registered for it and it never learned of is put back.
   * It was in the answer of a claim that did not arrive.
   */
  async reconcile(): Promise<void> {
    const socket = this.#socket;
    if (!socket) return;
    const owned = (await socket.call('HGETALL', this.ownedKey)) as string[];
    const unknown: Held[] = [];
    for (let i = 0; i < owned.length; i += 2) {
      const tag = owned[i] as string;
      if (!this.#leases.has(tag))
        unknown.push({ tag, score: '', targets: [owned[i + 1] as string], record: undefined });
    }
    for (const held of unknown) {
      held.score = ((await socket.call('ZSCORE', this.#keys.unackedIndex, held.tag)) as string | null) ?? '';
    }
    const options = { first: true, counted: false, owned: this.ownedKey, deadOwner: undefined };
    if (unknown.length > 0) await putBack(socket, this.#keys, unknown, options);
    this.#reconciled = true;
  }

  /** Strikes the connection off the list of the living. */
  async leave(): Promise<void> {
    await this.#socket?.run(LEAVE, [this.#keys.workers, this.ownedKey], [this.id]);
  }

  /** Runs a command on the present connection; when that is lost, once more on the next one. All of them may repeat. */
  async #through<T>(send: (socket: RedisSocket) => Promise<T>): Promise<T> {
    const deadlineMs = this.#context.clock.monotonic() + REATTACH_MS;
    for (;;) {
      const socket = this.#socket ?? (await this.#nextSocket(deadlineMs));
      try {
        return await send(socket);
      } catch (error) {
        if (!socket.ended) throw error;
        // The connection notices by itself and detaches; until then its socket would only fail again.
        if (this.#socket === socket) this.detach();
      }
    }
  }

  async #nextSocket(deadlineMs: number): Promise<RedisSocket> {
    const { clock } = this.#context;
    const done = new AbortController();
    try {
      return await Promise.race([
        this.#attached.promise,
        sleep(clock, deadlineMs - clock.monotonic(), done.signal).then(() => {
          throw new OperationalError('the Redis connection was lost, and no other came in time', { recoverable: true });
        }),
      ]);
    } finally {
      done.abort();
    }
  }
}
