import { OperationalError } from '../../errors.ts';
import type { Timer } from '../../runtime/clock.ts';
import type { Pulse } from '../../runtime/pulse.ts';
import type { DriverContext } from '../transport.ts';
import type { KeySpace } from './keys.ts';
import type { Ledger } from './ledger.ts';
import type { RedisSettings } from './options.ts';
import { TICK } from './scripts.ts';
import type { RedisSocket } from './socket.ts';
import type { Sweeper } from './sweeper.ts';

/** Most delayed messages moved in one errand: the server serves nobody else meanwhile. */
const PUMP = 500;
const LONGEST_TURN_MS = 2_000;
/** While something is held: it is renewed and settled in time. */
const BUSY_TURN_MS = 1_000;
const OWN_KEYS_TTL_MS = 7 * 86_400_000;

/**
 * What a consuming connection does besides consuming, every second or two: it says that it lives, renews its leases,
 * moves delayed messages that are due, and sweeps.
 */
export class Keeper {
  readonly #socket: RedisSocket;
  readonly #keys: KeySpace;
  readonly #settings: RedisSettings;
  readonly #ledgers: Set<Ledger>;
  readonly #sweeper: Sweeper;
  readonly #context: DriverContext;
  /** Keeps the holders alive while the event loop is blocked. */
  pulse: Pulse | undefined;
  #timer: Timer | undefined;
  #started = false;
  #stopped = false;
  /** No sweep soon after: peers that were cut off together with us need time to say that they live. */
  #quietSinceMs = 0;
  #sweepMs = 0;
  #turnedMs = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(
    socket: RedisSocket,
    keys: KeySpace,
    settings: RedisSettings,
    ledgers: Set<Ledger>,
    sweeper: Sweeper,
    context: DriverContext,
  ) {
    this.#socket = socket;
    this.#keys = keys;
    this.#settings = settings;
    this.#ledgers = ledgers;
    this.#sweeper = sweeper;
    this.#context = context;
  }

  /** Resolves when the connection is known to live: before its first claim. */
  start(): Promise<void> {
    if (this.#started) return this.#turn;
    this.#started = true;
    const nowMs = this.#context.clock.monotonic();
    this.#quietSinceMs = nowMs;
    this.#turnedMs = nowMs;
    this.#turn = this.#begin();
    return this.#turn;
  }

  /** Harmless twice. Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.pulse?.stop();
    await this.#turn;
  }

  async #begin(): Promise<void> {
    try {
      await this.#sweeper.takeOverGone();
    } catch (error) {
      if (!this.#socket.ended)
        this.#context.log.warn({ error }, 'looking for messages of an earlier worker here failed');
    }
    await this.#run();
  }

  async #run(): Promise<void> {
    const busy = [...this.#ledgers].some(({ size }) => size > 0);
    const turnMs = busy ? BUSY_TURN_MS : LONGEST_TURN_MS;
    let nextMs = Math.min(turnMs, this.#settings.leaseMs / 4, this.#settings.visibilityTimeoutMs / 6);
    try {
      nextMs = Math.min(nextMs, await this.#errand());
    } catch (error) {
      if (this.#socket.ended) return;
      this.#context.log.error({ error }, 'looking after leases and delayed messages failed');
      if (error instanceof TypeError) this.#socket.fail(new OperationalError(String(error), { recoverable: true }));
    }
    if (this.#stopped) return;
    this.#timer = this.#context.clock.setTimer(
      nextMs,
      () => {
        this.#turn = this.#run();
      },
      { keepAlive: false },
    );
  }

  /** @returns milliseconds until the next delayed message is due */
  async #errand(): Promise<number> {
    const { clock } = this.#context;
    const { leaseMs, visibilityTimeoutMs } = this.#settings;
    const sentMs = clock.monotonic();
    const sentWallMs = clock.now();
    const ledgers = [...this.#ledgers];
    const [moved, nextDue, dead, expired] = (await this.#socket.run(
      TICK,
      [
        this.#keys.workers,
        this.#keys.unackedIndex,
        this.#keys.delayed,
        this.#keys.delayedMessages,
        ...ledgers.map((ledger) => ledger.ownedKey),
      ],
      [leaseMs / 1000, OWN_KEYS_TTL_MS, visibilityTimeoutMs / 1000, PUMP, ...ledgers.map(({ id }) => id)],
    )) as [number, string, number, number];
    const nowMs = clock.monotonic();
    if (!this.#stopped) this.pulse?.beat(ledgers.map(({ id }) => id));
    for (const ledger of ledgers) {
      ledger.alive(sentMs, sentWallMs);
      await ledger.tend();
      if (ledger.finished) {
        this.#ledgers.delete(ledger);
        await ledger.leave();
      }
    }
    // The server or we were stopped for a while; so were the peers' signs of life.
    if (nowMs - this.#turnedMs > LONGEST_TURN_MS + leaseMs / 3) this.#quietSinceMs = nowMs;
    this.#turnedMs = nowMs;
    if (!this.#stopped && nowMs >= this.#sweepMs && dead + expired > 0) {
      this.#sweepMs = nowMs + this.#settings.sweepIntervalMs * (0.5 + this.#context.random.next());
      const quietMs = nowMs - this.#quietSinceMs;
      if (dead > 0 && quietMs >= leaseMs) await this.#sweeper.takeOver();
      if (expired > 0 && quietMs >= Math.min(leaseMs, visibilityTimeoutMs)) await this.#sweeper.restoreExpired();
    }
    if (moved >= PUMP) return 0;
    return nextDue === '' ? Number.POSITIVE_INFINITY : Math.max(Number(nextDue) * 1000, 0);
  }
}
