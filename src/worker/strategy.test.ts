import { expect, test } from 'vitest';
import { decide, type Circumstances } from './strategy.ts';

const plain: Circumstances = {
  known: true,
  revoked: false,
  etaMs: undefined,
  expiresMs: undefined,
  nowMs: 1_000,
  horizonMs: 500,
  heldEnough: false,
  deliveryCount: 1,
  maxDeliveries: 3,
};

test.each<[string, Partial<Circumstances>, object]>([
  ['nothing special', {}, { kind: 'run' }],
  ['unknown task', { known: false, revoked: true }, { kind: 'unknown' }],
  ['revoked', { revoked: true, etaMs: 9_000 }, { kind: 'revoke', reason: 'revoked' }],
  ['expired before its ETA', { expiresMs: 999, etaMs: 9_000 }, { kind: 'revoke', reason: 'expired' }],
  ['expires this very moment', { expiresMs: 1_000 }, { kind: 'run' }],
  ['last delivery that is allowed', { deliveryCount: 3 }, { kind: 'run' }],
  ['one delivery too many', { deliveryCount: 4 }, { kind: 'exhausted' }],
  ['deliveries without end', { deliveryCount: 4, maxDeliveries: null }, { kind: 'run' }],
  ['nobody counts deliveries', { deliveryCount: undefined }, { kind: 'run' }],
  ['ETA in the past', { etaMs: 999 }, { kind: 'run' }],
  ['ETA soon', { etaMs: 1_500 }, { kind: 'hold', dueMs: 1_500 }],
  ['ETA far', { etaMs: 1_501 }, { kind: 'delay', delayMs: 501 }],
  ['ETA far, broker cannot keep it', { etaMs: 1_501, horizonMs: undefined }, { kind: 'hold', dueMs: 1_501 }],
  ['ETA soon, enough held', { etaMs: 1_400, heldEnough: true }, { kind: 'delay', delayMs: 400 }],
])('%s', (_, given, decision) => {
  expect(decide({ ...plain, ...given })).toEqual(decision);
});
