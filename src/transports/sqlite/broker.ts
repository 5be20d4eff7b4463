import { ChannelError, OperationalError } from '../../errors.ts';
import type { Binding, Entity } from '../../messaging/entity.ts';
import type { Message } from '../../protocol/message.ts';
import { deferred, type Deferred } from '../../runtime/deferred.ts';
import { sleep, type Timer } from '../../runtime/clock.ts';
import type { Pulse } from '../../runtime/pulse.ts';
import type { Database } from '../../sqlite/database.ts';
import type { Destination, DriverContext, PublishOptions } from '../transport.ts';
import { sqlitePulse } from './pulse.ts';
import { Tables, type Claimed } from './tables.ts';

/** Time after which a silent owner's messages go to others; processes of this machine are noticed at once. */
export const LEASE_MS = 15_000;
const RENEW_MS = 4_000;
const SWEEP_MS = 1_000;
/** Most operations in one transaction: the event loop stands still meanwhile. */
const MOST_OPERATIONS = 500;
const MOST_CLAIMED = 200;

/** Something to do in the next transaction. */
interface Operation {
  readonly run: (tables: Tables, nowMs: number) => void;
}

/** What the consumers of one channel hold together. */
export interface Window {
  unsettled: number;
}

/** Who receives what is claimed. */
export interface Claimer {
  readonly queue: string;
  readonly noAck: boolean;
  /** Room for this many more, if no other claimer of its window takes any. */
  readonly free: number;
  readonly window: Window;
  accept(claimed: readonly Claimed[]): void;
}

/** Who is told that what it holds is somebody else's by now. */
export interface Holder {
  lost(): void;
}

/**
 * One connection's side of the file. Whatever is asked for within one tick (publishes, settlements, claims) travels
 * in one transaction; each promise resolves when it has committed.
 */
export class SqliteBroker {
  readonly #context: DriverContext;
  readonly #db: Database;
  readonly #tables: Tables;
  readonly #claimers = new Set<Claimer>();
  readonly holders: Set<Holder> = new Set();
  readonly #closed = deferred<Error | undefined>();
  #operations: Operation[] = [];
  #batch: Deferred<void> = deferred();
  #cycleQueued = false;
  #cycling: Promise<void> | undefined;
  readonly #sharesLoop: boolean;
  #owner: number | undefined;
  /** Keeps the lease while the event loop is blocked. */
  #pulse: Pulse | undefined;
  #renewedMs = 0;
  #open = true;
  #renewTimer: Timer | undefined;
  #sweepTimer: Timer | undefined;
  #dueTimer: Timer | undefined;
  #dueMs = Infinity;
  #stopListening: (() => void) | undefined;
  /** `clock.monotonic()` of the last read that the file answered. */
  lastReadMs: number;

  constructor(db: Database, context: DriverContext, sharesLoop: boolean = false) {
    this.#sharesLoop = sharesLoop;
    this.#db = db;
    this.#context = context;
    this.#tables = new Tables(db);
    this.lastReadMs = context.clock.monotonic();
  }

  /** Settles when the broker is closed, or its file cannot be used any more. */
  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  // ── asked for by channels

  /** @throws {ChannelError} for a mandatory message that no queue takes */
  async publish(message: Message, to: Destination, options: PublishOptions): Promise<void> {
    const delayMs = options.delayMs ?? 0;
    let reached = 1;
    await this.#add({
      run: (tables, nowMs) => {
        if (options.once !== undefined && delayMs <= 0 && !tables.isFirst(options.once, nowMs)) return;
        const dueMs = delayMs > 0 ? Math.ceil(nowMs + delayMs) : 0;
        reached = tables.publish(message, to, nowMs, dueMs).length;
        if (dueMs > 0) this.#armDue(dueMs);
      },
    });
    if (reached === 0 && options.mandatory) {
      throw new ChannelError(`no queue is bound to exchange "${to.exchange}" for routing key "${to.routingKey}"`);
    }
  }

  /** One promise for everything that is settled in this tick. */
  settle(id: number, how: 'remove' | 'giveBack' | 'restore', noted: boolean): Promise<void> {
    const owner = this.#owner;
    if (owner === undefined) return Promise.resolve();
    return this.#add({
      run: (tables) => {
        if (tables[how](id, owner) && noted) tables.crossOut(id, owner);
      },
    });
  }

  /** Writes down that a message runs. @returns how many earlier runs were written down, and their owners died */
  async noteRun(id: number): Promise<number> {
    const owner = await this.#own();
    return this.#write(() => this.#tables.noteRun(id, owner));
  }

  async declare(entity: Entity): Promise<void> {
    const owned = entity.kind === 'queue' && (entity.autoDelete || entity.exclusive);
    const owner = owned ? await this.#own() : null;
    await this.#write(() => this.#tables.declare(entity, owner));
  }

  async take(queue: string): Promise<Claimed | undefined> {
    const owner = await this.#own();
    if (this.#sweepTimer === undefined) {
      this.#sweepTimer = this.#every(SWEEP_MS, () => this.#sweep());
      await this.#sweep();
    }
    const nowMs = this.#context.clock.now();
    return (await this.#write(() => this.#tables.claim(queue, owner, nowMs, 1)))[0];
  }

  async size(queue: string): Promise<number> {
    this.#check();
    return this.#tables.size(queue);
  }

  purge(queue: string): Promise<number> {
    return this.#write(() => this.#tables.purge(queue));
  }

  async deleteQueue(queue: string): Promise<void> {
    await this.#write(() => this.#tables.deleteQueue(queue));
  }

  async deleteExchange(exchange: string): Promise<void> {
    await this.#write(() => this.#tables.deleteExchange(exchange));
  }

  bindings(): readonly Binding[] {
    return this.#tables.bindings();
  }

  /** Whether a claimed message is still this connection's. */
  held(id: number): true | Promise<boolean> {
    const { clock } = this.#context;
    if (this.#open && clock.monotonic() - this.#renewedMs < LEASE_MS / 2) return true;
    return this.#stillHeld(id);
  }

  async #stillHeld(id: number): Promise<boolean> {
    if (!this.#open || this.#owner === undefined) return false;
    const renewed = await this.#renew();
    return renewed && this.#tables.holds(id, this.#owner);
  }

  async addClaimer(claimer: Claimer): Promise<void> {
    await this.#own();
    this.#claimers.add(claimer);
    this.#stopListening ??= this.#db.onForeignWrite(() => this.wake());
    this.#sweepTimer ??= this.#every(SWEEP_MS, () => this.#sweep());
    this.#watchDue();
    this.wake();
  }

  removeClaimer(claimer: Claimer): void {
    this.#claimers.delete(claimer);
  }

  /** Something may be ready, or a claimer has room. */
  wake(): void {
    if (this.#cycleQueued || !this.#open) return;
    this.#cycleQueued = true;
    setImmediate(this.#cycle);
  }

  // ── the cycle

  #add(operation: Operation): Promise<void> {
    if (!this.#open) return Promise.reject(this.#gone());
    this.#operations.push(operation);
    this.wake();
    return this.#batch.promise;
  }

  readonly #cycle = (): void => {
    this.#cycleQueued = false;
    if (this.#cycling || !this.#open) return;
    this.#cycling = this.#runCycle().finally(() => {
      this.#cycling = undefined;
      if (this.#operations.length > 0) this.wake();
    });
  };

  /** One transaction for what was asked for and what can be claimed. Never rejects. */
  async #runCycle(): Promise<void> {
    const operations = this.#operations;
    const batch = this.#batch;
    this.#operations = [];
    this.#batch = deferred();
    const { clock } = this.#context;
    try {
      if (this.#dueMs <= clock.now()) await this.#promote();
      for (let from = 0; from < operations.length; from += MOST_OPERATIONS) {
        await this.#transact(operations.slice(from, from + MOST_OPERATIONS));
      }
      batch.resolve();
      if (operations.length === 0) await this.#transact([]);
    } catch (error) {
      batch.promise.catch(() => {});
      batch.reject(error);
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #transact(operations: readonly Operation[]): Promise<void> {
    const { clock } = this.#context;
    const hungry = [...this.#claimers].filter(({ free }) => free > 0);
    const wanted = operations.length > 0 ? hungry : hungry.filter(({ queue }) => this.#tables.anyReady(queue));
    this.lastReadMs = clock.monotonic();
    if (operations.length === 0 && wanted.length === 0) return;
    const owner = this.#owner;
    const results = await this.#db.write(() => {
      const nowMs = clock.now();
      for (const operation of operations) operation.run(this.#tables, nowMs);
      const shares = new Shares(wanted);
      return wanted.map((claimer) => {
        const limit = Math.min(shares.of(claimer), MOST_CLAIMED);
        if (claimer.noAck) return { claimer, claimed: this.#tables.take(claimer.queue, nowMs, limit) };
        const claimed = owner === undefined ? [] : this.#tables.claim(claimer.queue, owner, nowMs, limit);
        shares.took(claimer, claimed.length);
        return { claimer, claimed };
      });
    });
    for (const { claimer, claimed } of results) {
      if (claimed.length === 0) continue;
      claimer.accept(claimed);
      // Who was served is served last the next time.
      if (this.#claimers.delete(claimer)) this.#claimers.add(claimer);
      if (claimer.free > 0) this.wake();
    }
  }

  // ── leases

  /** The id under which messages and queues are held; renewed for as long as the connection is open. */
  async #own(): Promise<number> {
    if (this.#owner !== undefined) return this.#owner;
    const { clock } = this.#context;
    const owner = await this.#write(() => {
      this.#owner ??= this.#tables.addOwner(clock.now() + LEASE_MS);
      return this.#owner;
    });
    this.#renewedMs = clock.monotonic();
    if (this.#sharesLoop) this.#pulse ??= sqlitePulse(this.#db.file, LEASE_MS);
    this.#pulse?.beat(owner);
    this.#renewTimer ??= this.#every(RENEW_MS, async () => {
      if (await this.#renew()) return;
      for (const holder of this.holders) holder.lost();
      this.#fail(
        new OperationalError('the lease was lost: this process was silent for too long', { recoverable: true }),
      );
    });
    return owner;
  }

  async #renew(): Promise<boolean> {
    const { clock } = this.#context;
    const owner = this.#owner;
    if (owner === undefined) return true;
    const startedMs = clock.monotonic();
    const renewed = await this.#db.write(() => this.#tables.renew(owner, clock.now() + LEASE_MS));
    if (renewed) this.#renewedMs = startedMs;
    if (renewed && this.#open) this.#pulse?.beat(owner);
    return renewed;
  }

  /** Takes over from the dead, drops what has expired. */
  async #sweep(): Promise<void> {
    const { clock, log } = this.#context;
    const dead = this.#tables.deadOwners(clock.now()).filter((owner) => owner !== this.#owner);
    this.lastReadMs = clock.monotonic();
    for (const owner of dead) {
      const returned = await this.#db.write(() => this.#tables.release(owner));
      if (returned > 0) log.warn({ owner, returned }, 'messages of a dead process were put back');
    }
    if (dead.length > 0) this.wake();
  }

  // ── delayed messages

  #armDue(dueMs: number): void {
    if (dueMs >= this.#dueMs || !this.#open || this.#claimers.size === 0) return;
    const { clock } = this.#context;
    this.#dueMs = dueMs;
    this.#dueTimer?.cancel();
    this.#dueTimer = clock.setTimer(Math.max(0, dueMs - clock.now()), () => this.wake(), { keepAlive: false });
  }

  #watchDue(): void {
    this.#dueMs = Infinity;
    const next = this.#tables.nextDueMs();
    if (next !== undefined) this.#armDue(next);
  }

  async #promote(): Promise<void> {
    const nowMs = this.#context.clock.now();
    await this.#db.write(() => {
      this.#tables.dropExpired(nowMs);
      return this.#tables.promote(nowMs);
    });
    this.#watchDue();
  }

  // ── ends

  /** Returns what is held and lets the file go. Harmless twice. */
  async close(): Promise<void> {
    if (!this.#open) return;
    while (this.#operations.length > 0 || this.#cycling) {
      if (this.#cycling) await this.#cycling;
      else this.#cycle();
    }
    if (!this.#open) return;
    this.#end(undefined, true);
  }

  #fail(error: Error): void {
    if (!this.#open) return;
    this.#end(error, false);
  }

  #end(error: Error | undefined, orderly: boolean): void {
    this.#open = false;
    for (const timer of [this.#renewTimer, this.#sweepTimer, this.#dueTimer]) timer?.cancel();
    this.#stopListening?.();
    this.#pulse?.stop();
    this.#batch.promise.catch(() => {});
    this.#batch.reject(this.#gone());
    const owner = this.#owner;
    const released = owner === undefined ? Promise.resolve(0) : this.#db.write(() => this.#tables.release(owner));
    void released
      .catch((cause: unknown) => {
        if (orderly) this.#context.log.warn({ error: cause }, 'messages could not be returned: their lease runs out');
      })
      .finally(() => {
        this.#db.close();
        this.#closed.resolve(error);
      });
  }

  #every(periodMs: number, work: () => Promise<void>): Timer {
    const { clock, log } = this.#context;
    const stop = new AbortController();
    const loop = async (): Promise<void> => {
      for (;;) {
        await sleep(clock, periodMs, stop.signal, { keepAlive: false });
        if (!this.#open) return;
        try {
          await work();
        } catch (error) {
          log.warn({ error }, 'looking after leases failed: trying again');
        }
      }
    };
    loop().catch(() => {});
    return { cancel: () => stop.abort() };
  }

  #write<T>(work: () => T): Promise<T> {
    if (!this.#open) return Promise.reject(this.#gone());
    return this.#db.write(work);
  }

  #check(): void {
    if (!this.#open) throw this.#gone();
  }

  #gone(): OperationalError {
    return new OperationalError('the connection to the database is closed', { recoverable: true });
  }
}

/** Divides the room of each window among the claimers that share it. What one leaves over goes to those after it. */
class Shares {
  readonly #taken = new Map<Window, number>();
  readonly #claimers = new Map<Window, number>();

  constructor(claimers: readonly Claimer[]) {
    for (const { window, noAck } of claimers) {
      if (!noAck) this.#claimers.set(window, (this.#claimers.get(window) ?? 0) + 1);
    }
  }

  /** Asked once for each. */
  of({ window, noAck, free }: Claimer): number {
    if (noAck) return free;
    const left = this.#claimers.get(window) ?? 1;
    this.#claimers.set(window, left - 1);
    return Math.max(0, Math.ceil((free - (this.#taken.get(window) ?? 0)) / left));
  }

  took({ window }: Claimer, count: number): void {
    this.#taken.set(window, (this.#taken.get(window) ?? 0) + count);
  }
}
