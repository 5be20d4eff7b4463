import type { DriverContext } from '../../transports/transport.ts';
import type { ResultRecord } from '../backend.ts';

/** Results kept for who asks later, and the bytes that their messages had; beyond either the oldest is dropped. */
const MOST_RECORDS = 100_000;
const MOST_BYTES = 256 * 2 ** 20;

interface Kept {
  readonly record: ResultRecord;
  readonly bytes: number;
  readonly expiresAtMs: number;
}

export interface UnreadLimits {
  readonly records: number;
  readonly bytes: number;
}

/** The latest record of each task that a message brought, oldest first. */
export class Unread {
  readonly #lifetimeMs: number;
  readonly #context: DriverContext;
  readonly #limits: UnreadLimits;
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;
  #dropped = 0;

  constructor(
    lifetimeMs: number,
    context: DriverContext,
    limits: UnreadLimits = { records: MOST_RECORDS, bytes: MOST_BYTES },
  ) {
    this.#lifetimeMs = lifetimeMs;
    this.#context = context;
    this.#limits = limits;
  }

  /** @returns whether it counts: nothing follows a SUCCESS */
  put(record: ResultRecord, bytes: number): boolean {
    const { taskId } = record;
    if (this.#kept.get(taskId)?.record.status === 'SUCCESS') return false;
    this.delete(taskId);
    this.#kept.set(taskId, { record, bytes, expiresAtMs: this.#context.clock.now() + this.#lifetimeMs });
    this.#bytes += bytes;
    this.#shrink();
    return true;
  }

  get(taskId: string): ResultRecord | undefined {
    const kept = this.#kept.get(taskId);
    return kept !== undefined && kept.expiresAtMs > this.#context.clock.now() ? kept.record : undefined;
  }

  delete(taskId: string): void {
    const kept = this.#kept.get(taskId);
    if (kept === undefined) return;
    this.#kept.delete(taskId);
    this.#bytes -= kept.bytes;
  }

  #shrink(): void {
    const nowMs = this.#context.clock.now();
    for (const [taskId, { expiresAtMs }] of this.#kept) {
      const expired = expiresAtMs <= nowMs;
      if (!expired && this.#kept.size <= this.#limits.records && this.#bytes <= this.#limits.bytes) return;
      this.delete(taskId);
      if (!expired && this.#dropped++ === 0) {
        this.#context.log.warn(
          { kept: this.#kept.size, bytes: this.#bytes },
          'results arrive faster than they are asked for: the oldest are dropped. Call with ignoreResult what nobody asks for',
        );
      }
    }
  }
}
