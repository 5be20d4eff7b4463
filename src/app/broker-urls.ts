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
