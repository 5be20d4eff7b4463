import type { FailoverStrategy, SettingsObject, SettingsOf } from '../setting.ts';

/** Broker. */
export interface BrokerSettings {
  /** Broker URL, list, or `;` separated failover list. */
  readonly brokerUrl: string | readonly string[] | null;
  /** URL for consuming; default brokerUrl. */
  readonly brokerReadUrl: string | readonly string[] | null;
  /** URL for publishing; default brokerUrl. */
  readonly brokerWriteUrl: string | readonly string[] | null;
  /** Transport alias when URL has none. */
  readonly brokerTransport: string | null;
  /** Options handed to the transport. */
  readonly brokerTransportOptions: SettingsObject;
  /** Connect timeout. */
  readonly brokerConnectionTimeout: number;
  /** Reconnect after losing the broker. */
  readonly brokerConnectionRetry: boolean;
  /** Retry initial connect; null = brokerConnectionRetry. */
  readonly brokerConnectionRetryOnStartup: boolean | null;
  /** Attempts before giving up; null = forever. */
  readonly brokerConnectionMaxRetries: number | null;
  /** Also restart the consumer on channel errors. */
  readonly brokerChannelErrorRetry: boolean;
  /** round-robin (default) or shuffle or callable. */
  readonly brokerFailoverStrategy: 'round-robin' | 'shuffle' | FailoverStrategy | null;
  /** Requested AMQP heartbeat. */
  readonly brokerHeartbeat: number;
  /** Heartbeat checks per interval. */
  readonly brokerHeartbeatCheckrate: number;
  /** SASL mechanism (PLAIN, EXTERNAL, AMQPLAIN). */
  readonly brokerLoginMethod: string | null;
  /** Queue type of delay queues: quorum, classic. */
  readonly brokerNativeDelayedDeliveryQueueType: 'quorum' | 'classic';
  /** Most publishing connections; one carries all that an app publishes. 0 or null: closed after each use. */
  readonly brokerPoolLimit: number | null;
  /** TLS on/off or options object. */
  readonly brokerUseSsl: boolean | SettingsObject;
  /** Legacy host parts instead of URL. */
  readonly brokerHost: string | null;
  /** Legacy port. */
  readonly brokerPort: number | null;
  /** Legacy user. */
  readonly brokerUser: string | null;
  /** Legacy password. */
  readonly brokerPassword: string | null;
  /** Legacy virtual host. */
  readonly brokerVhost: string | null;
}

export const BROKER_SETTINGS: SettingsOf<BrokerSettings> = {
  brokerUrl: {
    type: 'urls',
    default: null,
    nullable: true,
    unit: 'URL',
    meaning: 'Broker URL, list, or `;` separated failover list',
    env: 'CELERY_BROKER_URL',
    flag: '-b',
    status: 'used',
  },
  brokerReadUrl: {
    type: 'urls',
    default: null,
    nullable: true,
    unit: 'URL',
    meaning: 'URL for consuming; default brokerUrl',
    env: 'CELERY_BROKER_READ_URL',
    status: 'used',
  },
  brokerWriteUrl: {
    type: 'urls',
    default: null,
    nullable: true,
    unit: 'URL',
    meaning: 'URL for publishing; default brokerUrl',
    env: 'CELERY_BROKER_WRITE_URL',
    status: 'used',
  },
  brokerTransport: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Transport alias when URL has none',
    status: 'used',
  },
  brokerTransportOptions: { type: 'object', default: {}, meaning: 'Options handed to the transport', status: 'used' },
  brokerConnectionTimeout: { type: 'seconds', default: 4, unit: 's', meaning: 'Connect timeout', status: 'used' },
  brokerConnectionRetry: { type: 'bool', default: true, meaning: 'Reconnect after losing the broker', status: 'used' },
  brokerConnectionRetryOnStartup: {
    type: 'bool',
    default: null,
    nullable: true,
    meaning: 'Retry initial connect; null = brokerConnectionRetry',
    status: 'used',
  },
  brokerConnectionMaxRetries: {
    type: 'count',
    default: 100,
    nullable: true,
    unit: 'count',
    meaning: 'Attempts before giving up; null = forever',
    status: 'used',
  },
  brokerChannelErrorRetry: {
    type: 'bool',
    default: false,
    meaning: 'Also restart the consumer on channel errors',
    status: 'accepted',
  },
  brokerFailoverStrategy: {
    type: 'strategy',
    default: null,
    nullable: true,
    meaning: 'round-robin (default) or shuffle or callable',
    status: 'used',
  },
  brokerHeartbeat: {
    type: 'seconds',
    default: 120,
    unit: 's',
    meaning: 'Requested AMQP heartbeat',
    status: 'used',
  },
  brokerHeartbeatCheckrate: {
    type: 'number',
    default: 3,
    meaning: 'Heartbeat checks per interval',
    status: 'accepted',
  },
  brokerLoginMethod: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'SASL mechanism (PLAIN, EXTERNAL, AMQPLAIN)',
    status: 'used',
  },
  brokerNativeDelayedDeliveryQueueType: {
    type: 'oneOf',
    values: ['quorum', 'classic'],
    default: 'quorum',
    meaning: 'Queue type of delay queues: quorum, classic',
    status: 'used',
  },
  brokerPoolLimit: {
    type: 'count',
    default: 10,
    nullable: true,
    unit: 'count',
    meaning: 'Most publishing connections; one carries all that an app publishes. 0 or null: closed after each use',
    status: 'used',
  },
  brokerUseSsl: { type: 'boolOrObject', default: false, meaning: 'TLS on/off or options object', status: 'used' },
  brokerHost: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Legacy host parts instead of URL',
    status: 'used',
  },
  brokerPort: { type: 'int', default: null, nullable: true, meaning: 'Legacy port', status: 'used' },
  brokerUser: { type: 'text', default: null, nullable: true, meaning: 'Legacy user', status: 'used' },
  brokerPassword: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Legacy password',
    secret: true,
    status: 'used',
  },
  brokerVhost: { type: 'text', default: null, nullable: true, meaning: 'Legacy virtual host', status: 'used' },
};
