/** Celery's own states; applications may add others. */
export const State = {
  PENDING: 'PENDING',
  RECEIVED: 'RECEIVED',
  STARTED: 'STARTED',
  SUCCESS: 'SUCCESS',
  FAILURE: 'FAILURE',
  REVOKED: 'REVOKED',
  REJECTED: 'REJECTED',
  RETRY: 'RETRY',
  IGNORED: 'IGNORED',
} as const;

export const READY_STATES: ReadonlySet<string> = new Set(['SUCCESS', 'FAILURE', 'REVOKED']);
export const UNREADY_STATES: ReadonlySet<string> = new Set(['PENDING', 'RECEIVED', 'STARTED', 'REJECTED', 'RETRY']);
/** The stored result is an exception. */
export const EXCEPTION_STATES: ReadonlySet<string> = new Set(['RETRY', 'FAILURE', 'REVOKED']);
/** `get()` throws it. */
export const PROPAGATE_STATES: ReadonlySet<string> = new Set(['FAILURE', 'REVOKED']);

/** Nothing follows this state. */
export function isReady(state: string): boolean {
  return READY_STATES.has(state);
}

/** Source: celery.states.PRECEDENCE. null stands for every custom state. */
const PRECEDENCE: readonly (string | null)[] = [
  'SUCCESS',
  'FAILURE',
  null,
  'REVOKED',
  'STARTED',
  'RECEIVED',
  'REJECTED',
  'RETRY',
  'PENDING',
];

/** Lower wins when states arrive out of order. */
export function precedence(state: string): number {
  const at = PRECEDENCE.indexOf(state);
  return at < 0 ? PRECEDENCE.indexOf(null) : at;
}

/** Negative when `a` outranks `b`: sorting puts the state to believe first. */
export function compareStates(a: string, b: string): number {
  return precedence(a) - precedence(b);
}
