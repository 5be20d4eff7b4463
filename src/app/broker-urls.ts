import type { Random } from '../runtime/random.ts';
import type { FailoverOrder } from '../transports/failover.ts';
import type { Transport } from '../transports/transport.ts';
import type { Config } from './settings.ts';

type BrokerSettings = Pick<
  Config,
  | 'brokerUrl'
  | 'brokerReadUrl'
  | 'brokerWriteUrl'
  | 'brokerTransport'
  | 'brokerHost'
  | 'brokerPort'
  | 'brokerUser'
  | 'brokerPassword'
  | 'brokerVhost'
>;

/** What Celery connects to when nothing is configured. */
const CELERY_DEFAULT = 'amqp://guest:guest@localhost:5672//';

/**
 * The brokers to try, in their order, for consuming or publishing: lists and `;` texts taken apart, the older
 * settings of host and user put together. Never empty.
 */
export function brokerUrls(config: BrokerSettings, direction: 'read' | 'write'): readonly string[] {
  const own = direction === 'read' ? config.brokerReadUrl : config.brokerWriteUrl;
  const given = own ?? config.brokerUrl ?? fromParts(config) ?? config.brokerReadUrl ?? config.brokerWriteUrl;
  const urls = (typeof given === 'string' ? [given] : (given ?? []))
    .flatMap((text) => text.split(';'))
    .map((url) => url.trim())
    .filter((url) => url !== '');
  return urls.length > 0 ? urls : [CELERY_DEFAULT];
}

function fromParts(config: BrokerSettings): string | undefined {
  const { brokerTransport, brokerHost, brokerPort, brokerUser, brokerPassword, brokerVhost } = config;
  if (brokerTransport === null && brokerHost === null) return undefined;
  if (brokerHost?.includes('://')) return brokerHost;
  const password = brokerPassword === null ? '' : `:${encodeURIComponent(brokerPassword)}`;
  const user = brokerUser === null && password === '' ? '' : `${encodeURIComponent(brokerUser ?? '')}${password}@`;
  const port = brokerPort === null ? '' : `:${brokerPort}`;
  const path = brokerVhost === null ? '' : `/${encodeURIComponent(brokerVhost)}`;
  return `${brokerTransport ?? 'amqp'}://${user}${brokerHost ?? 'localhost'}${port}${path}`;
}

/** Setting `brokerFailoverStrategy` for the transports of these URLs, which come in the same order. */
export function failoverOrder(
  urls: readonly string[],
  strategy: Config['brokerFailoverStrategy'],
  random: Random,
): FailoverOrder {
  if (strategy === null || strategy === 'round-robin') return (transports) => transports;
  if (strategy === 'shuffle') return (transports) => shuffled(transports, random);
  return function* (transports): Generator<Transport, void, undefined> {
    for (const url of strategy(urls)) {
      const transport = transports[urls.indexOf(url)];
      if (transport !== undefined) yield transport;
    }
  };
}

function shuffled(transports: readonly Transport[], random: Random): Transport[] {
  return transports
    .map((transport) => [random.next(), transport] as const)
    .sort(([a], [b]) => a - b)
    .map(([, transport]) => transport);
}
