import type { Message } from '../../protocol/message.ts';
import type { Envelope } from '../../protocol/virtual.ts';
import type { Delivery, LeaseHolder, Suspicion } from '../transport.ts';
import type { Lease, Ledger } from './ledger.ts';

/** A message from a list. Without a lease it was taken without acknowledgement. */
export class RedisDelivery implements Delivery {
  readonly message: Message;
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly deliveryTag: string;
  readonly redelivered: boolean;
  readonly deliveryCount: number | undefined;
  readonly #lease: Lease | undefined;
  readonly #ledger: Ledger | undefined;
  #release: (() => void) | undefined;
  holder: LeaseHolder | undefined;

  constructor(
    envelope: Envelope,
    queue: string,
    restores: number,
    held: { readonly lease: Lease; readonly ledger: Ledger; readonly release: () => void } | undefined,
  ) {
    this.message = envelope.message;
    this.queue = queue;
    this.exchange = envelope.exchange;
    this.routingKey = envelope.routingKey;
    this.deliveryTag = envelope.deliveryTag;
    this.redelivered = envelope.redelivered || envelope.message.headers['redelivered'] === true;
    // Counted are takeovers and sweeps of ours; what was returned on purpose, and Python's sweeps, are not.
    this.deliveryCount = held && restores + 1;
    this.#lease = held?.lease;
    this.#ledger = held?.ledger;
    this.#release = held?.release;
    if (held) held.lease.delivery = this;
  }

  get suspicion(): Suspicion | undefined {
    const lease = this.#lease;
    const ledger = this.#ledger;
    if (!lease || !ledger || this.deliveryCount === undefined) return undefined;
    return {
      returns: this.deliveryCount - 1,
      everyRun: true,
      begin: async (limit) => (await ledger.noteRun(lease)) >= limit,
    };
  }

  ack(): Promise<void> {
    this.#free();
    return this.#lease && this.#ledger ? this.#ledger.ack(this.#lease) : Promise.resolve();
  }

  reject({ requeue }: { readonly requeue: boolean }): Promise<void> {
    this.#free();
    return this.#lease && this.#ledger ? this.#ledger.reject(this.#lease, requeue) : Promise.resolve();
  }

  held(): true | Promise<boolean> {
    if (!this.#lease || !this.#ledger) return true;
    const held = this.#ledger.held(this.#lease);
    return held === true ? true : this.#learn(held);
  }

  async #learn(asked: Promise<boolean>): Promise<boolean> {
    const held = await asked;
    if (!held) this.#free();
    return held;
  }

  /** Who has lost a message will not settle it: it must not take up room any longer. */
  lost(): void {
    this.#free();
    this.holder?.leaseLost(this);
  }

  #free(): void {
    this.#release?.();
    this.#release = undefined;
  }
}
