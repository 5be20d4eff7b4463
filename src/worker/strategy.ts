/*
 * What to do with a message whose headers were read. A decision is a value, and deciding has no effects.
 */

export interface Circumstances {
  /** The task is registered here. */
  readonly known: boolean;
  readonly revoked: boolean;
  /** Unix time in milliseconds; undefined: none. */
  readonly etaMs: number | undefined;
  readonly expiresMs: number | undefined;
  readonly nowMs: number;
  /** Messages due later than this go back to the broker; undefined: they are held here. */
  readonly horizonMs: number | undefined;
  /** No room for another message held for its ETA. */
  readonly heldEnough: boolean;
  /** Times the message was handed out and its worker died, or undefined where nobody counts. */
  readonly deliveryCount: number | undefined;
  /** null: without end */
  readonly maxDeliveries: number | null;
}

export type Decision =
  | { readonly kind: 'run' }
  | { readonly kind: 'hold'; readonly dueMs: number }
  | { readonly kind: 'delay'; readonly delayMs: number }
  | { readonly kind: 'revoke'; readonly reason: 'revoked' | 'expired' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'exhausted' };

const RUN: Decision = { kind: 'run' };
const UNKNOWN: Decision = { kind: 'unknown' };
const EXHAUSTED: Decision = { kind: 'exhausted' };
const REVOKED: Decision = { kind: 'revoke', reason: 'revoked' };
const EXPIRED: Decision = { kind: 'revoke', reason: 'expired' };

/** Source: the order of checks of celery.worker.strategy.default. */
export function decide(now: Circumstances): Decision {
  if (!now.known) return UNKNOWN;
  if (now.revoked) return REVOKED;
  if (now.expiresMs !== undefined && now.nowMs > now.expiresMs) return EXPIRED;
  if (now.maxDeliveries !== null && now.deliveryCount !== undefined && now.deliveryCount > now.maxDeliveries) {
    return EXHAUSTED;
  }
  if (now.etaMs === undefined || now.etaMs <= now.nowMs) return RUN;
  const delayMs = now.etaMs - now.nowMs;
  if (now.horizonMs !== undefined && (delayMs > now.horizonMs || now.heldEnough)) return { kind: 'delay', delayMs };
  return { kind: 'hold', dueMs: now.etaMs };
}
