import { OperationalError } from '../errors.ts';
import type { Connection, Transport } from './transport.ts';

/** Yields the transports to try, beginning anew when it ends. */
export type FailoverOrder = (transports: readonly Transport[]) => Iterable<Transport>;

/**
 * Several brokers of one kind as one transport: each new connection goes to the one that worked last, then to others.
 * Source: `Connection.maybe_switch_next` of kombu.
 * @param order @default each in turn (`brokerFailoverStrategy` round-robin)
 */
export function failover(transports: readonly Transport[], order: FailoverOrder = (all) => all): Transport {
  const [first] = transports;
  if (first === undefined) throw new TypeError('expected at least one transport');
  let turn = order(transports)[Symbol.iterator]();
  const next = (): Transport => {
    const one = turn.next();
    if (!one.done) return one.value;
    turn = order(transports)[Symbol.iterator]();
    const again = turn.next();
    return again.done ? first : again.value;
  };
  let current = next();
  return {
    name: first.name,
    capabilities: first.capabilities,
    get displayUrl() {
      return current.displayUrl;
    },
    get info() {
      return current.info;
    },
    async connect(options): Promise<Connection> {
      for (let tried = 1; ; tried++) {
        try {
          return await current.connect(options);
        } catch (error) {
          const recoverable = error instanceof OperationalError && error.recoverable;
          if (!recoverable || options?.signal?.aborted) throw error;
          current = next();
          if (tried >= transports.length) throw error;
        }
      }
    },
  };
}
