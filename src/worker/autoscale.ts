import type { Clock, Timer } from '../runtime/clock.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { Logger } from '../runtime/logger.ts';

/** What a policy decides by. */
export interface Load {
  /** Tasks that run or wait for a slot here. */
  readonly quantity: number;
  /** Children (slots in a pool without any) there are now, and between which numbers there may be. */
  readonly current: number;
  readonly min: number;
  readonly max: number;
  /** Tasks at a time in each child. */
  readonly slots: number;
  /** How long the oldest waiting task has waited for a slot; 0: none waits. */
  readonly latencyMs: number;
}

/** How many children there should be; what is outside of the bounds is moved to them. */
export type AutoscalePolicy = (load: Load) => number;

export interface AutoscaleOptions {
  readonly min: number;
  readonly max: number;
  /** Children are let go this long after the last ones were added. @default '30s', or AUTOSCALE_KEEPALIVE (seconds) */
  readonly keepalive?: Duration | undefined;
  /**
   * `load`: as many children as there are tasks, as Celery does. `latency`: more while tasks wait longer than
   * `latency`, fewer while some are idle. @default 'load'
   */
  readonly policy?: 'load' | 'latency' | AutoscalePolicy | undefined;
  /** @default '1s' */
  readonly latency?: Duration | undefined;
}

/** What the autoscaler may touch of its worker. */
export interface Scaled {
  readonly clock: Clock;
  readonly log: Logger;
  /** Children, or slots where there are none. */
  readonly current: number;
  readonly slots: number;
  readonly quantity: number;
  readonly latencyMs: number;
  /** Adds children, or with a negative number takes some away once their tasks are over. */
  grow(by: number): void;
  /** The window of messages fetched ahead follows `max`. */
  maxChanged(): void;
}

const CHECK_MS = 1_000;
const KEEPALIVE_MS = 30_000;
const LATENCY_MS = 1_000;

const byLoad: AutoscalePolicy = ({ quantity, slots }) => Math.ceil(quantity / slots);

function byLatency(targetMs: number): AutoscalePolicy {
  return ({ quantity, slots, current, latencyMs }) => {
    if (latencyMs > targetMs) return current + Math.max(1, Math.ceil(current / 2));
    return Math.min(current, Math.ceil(quantity / slots));
  };
}

/**
 * Grows and shrinks a pool between two bounds: on every task that arrives, and every second.
 *
 * Source: celery.worker.autoscale. Differs: there is always at least one child; shrinking is looked at every second,
 * not only after a whole `keepalive`; the policy can be replaced.
 */
export class Autoscaler {
  readonly #scaled: Scaled;
  readonly #policy: AutoscalePolicy;
  readonly #keepaliveMs: number;
  #min: number;
  #max: number;
  #grownMs: number | undefined;
  #timer: Timer | undefined;

  constructor(scaled: Scaled, options: AutoscaleOptions) {
    const { keepalive, policy = 'load', latency = LATENCY_MS } = options;
    this.#scaled = scaled;
    this.#min = Math.max(1, options.min);
    this.#max = Math.max(this.#min, options.max);
    this.#keepaliveMs = keepalive === undefined ? keepaliveFromEnvironment() : durationMs(keepalive);
    this.#policy = policy === 'load' ? byLoad : policy === 'latency' ? byLatency(durationMs(latency)) : policy;
  }

  get max(): number {
    return this.#max;
  }

  start(): void {
    const check = (): void => {
      this.check();
      this.#timer = this.#scaled.clock.setTimer(CHECK_MS, check, { keepAlive: false });
    };
    check();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Looks whether the pool has the right size. */
  check(): void {
    const { current, slots, quantity, latencyMs, clock, log } = this.#scaled;
    const [min, max] = [this.#min, this.#max];
    const asked = this.#policy({ quantity, current, min, max, slots, latencyMs });
    const wanted = Math.max(min, Math.min(max, Math.round(asked)));
    if (wanted > current) {
      this.#grownMs = clock.monotonic();
      log.info({ by: wanted - current, max }, 'scaling up');
      this.#scaled.grow(wanted - current);
    } else if (wanted < current && this.#mayShrink()) {
      log.info({ by: current - wanted, min }, 'scaling down');
      this.#scaled.grow(wanted - current);
    }
  }

  #mayShrink(): boolean {
    return this.#grownMs !== undefined && this.#scaled.clock.monotonic() - this.#grownMs > this.#keepaliveMs;
  }

  /** New bounds, in force at once. @returns both */
  update(max: number | undefined, min: number | undefined): readonly [max: number, min: number] {
    if (max !== undefined) {
      this.#max = Math.max(1, max);
      if (this.#max < this.#scaled.current) this.#scaled.grow(this.#max - this.#scaled.current);
      this.#scaled.maxChanged();
    }
    if (min !== undefined) {
      this.#min = Math.max(1, min);
      if (this.#min > this.#scaled.current) this.#scaled.grow(this.#min - this.#scaled.current);
    }
    return [this.#max, this.#min];
  }

  /** `stats.autoscaler` of remote control. */
  info(): Readonly<Record<string, number>> {
    const { current, quantity } = this.#scaled;
    return { max: this.#max, min: this.#min, current, qty: quantity };
  }
}

function keepaliveFromEnvironment(): number {
  const seconds = Number(process.env['AUTOSCALE_KEEPALIVE']);
  return seconds > 0 ? seconds * 1000 : KEEPALIVE_MS;
}

/**
 * `--autoscale`: `10,3`, in either order, or the upper bound alone.
 * @throws {RangeError} for anything else
 */
export function parseAutoscale(text: string): { readonly max: number; readonly min: number } {
  const match = /^\s*(\d+)\s*(?:,\s*(\d+)\s*)?$/.exec(text);
  const [one, two] = [Number(match?.[1]), Number(match?.[2] ?? 0)];
  const max = Math.max(one, two);
  if (!match || max < 1) throw new RangeError(`expected max,min such as 10,3, got ${JSON.stringify(text)}`);
  return { max, min: Math.min(one, two) };
}
