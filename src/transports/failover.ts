import { OperationalError } from '../errors.ts';
import type { Connection, Transport } from './transport.ts';

/**
 * Several brokers of one kind as one transport: each new connection goes to the one that worked last, then to the
 * others in turn (`brokerFailoverStrategy` round-robin). Source: `Connection.maybe_switch_next` of kombu.
 */
export function failover(transports: readonly Transport[]): Transport {
  const [first] = transports;
  if (first === undefined) throw new TypeError('expected at least one transport');
  let current = 0;
  const at = (): Transport => transports[current % transports.length] ?? first;
  return {
    name: first.name,
    capabilities: first.capabilities,
    get displayUrl() {
      return at().displayUrl;
    },
    get info() {
      return at().info;
    },
    async connect(options): Promise<Connection> {
      for (let tried = 1; ; tried++) {
        try {
          return await at().connect(options);
        } catch (error) {
          const recoverable = error instanceof OperationalError && error.recoverable;
          if (!recoverable || options?.signal?.aborted) throw error;
          current++;
          if (tried >= transports.length) throw error;
        }
      }
    },
  };
}
