import type { SettingsObject, SettingsOf } from '../setting.ts';

/** Redis. */
export interface RedisSettings {
  /** TLS options of the result backend. */
  readonly redisBackendUseSsl: boolean | SettingsObject | null;
  /** Host when URL absent. */
  readonly redisHost: string | null;
  /** Port. */
  readonly redisPort: number | null;
  /** Database number. */
  readonly redisDb: number | null;
  /** ACL user. */
  readonly redisUsername: string | null;
  /** Password. */
  readonly redisPassword: string | null;
  /** Most connections for results; there are two at most, with 1 results are asked for instead of pushed. */
  readonly redisMaxConnections: number | null;
  /** Read/write timeout. */
  readonly redisSocketTimeout: number;
  /** Connect timeout. */
  readonly redisSocketConnectTimeout: number | null;
  /** Retry on timeouts. */
  readonly redisRetryOnTimeout: boolean;
  /** TCP keepalive. */
  readonly redisSocketKeepalive: boolean;
  /** CLIENT SETNAME of result connections. */
  readonly redisClientName: string | null;
  /** Time between PINGs on idle result connections. */
  readonly redisBackendHealthCheckInterval: number | null;
  /** Credential provider of result connections. */
  readonly redisBackendCredentialProvider: unknown;
}

export const REDIS_SETTINGS: SettingsOf<RedisSettings> = {
  redisBackendUseSsl: {
    type: 'boolOrObject',
    default: null,
    nullable: true,
    meaning: 'TLS options of the result backend',
    status: 'used',
  },
  redisHost: { type: 'text', default: null, nullable: true, meaning: 'Host when URL absent', status: 'used' },
  redisPort: { type: 'int', default: null, nullable: true, meaning: 'Port', status: 'used' },
  redisDb: { type: 'int', default: null, nullable: true, meaning: 'Database number', status: 'used' },
  redisUsername: { type: 'text', default: null, nullable: true, meaning: 'ACL user', status: 'used' },
  redisPassword: { type: 'text', default: null, nullable: true, meaning: 'Password', secret: true, status: 'used' },
  redisMaxConnections: {
    type: 'count',
    default: null,
    nullable: true,
    unit: 'count',
    meaning: 'Most connections for results; there are two at most, with 1 results are asked for instead of pushed',
    status: 'used',
  },
  redisSocketTimeout: { type: 'seconds', default: 120, unit: 's', meaning: 'Read/write timeout', status: 'used' },
  redisSocketConnectTimeout: {
    type: 'seconds',
    default: null,
    nullable: true,
    unit: 's',
    meaning: 'Connect timeout',
    status: 'used',
  },
  redisRetryOnTimeout: { type: 'bool', default: false, meaning: 'Retry on timeouts', status: 'accepted' },
  redisSocketKeepalive: { type: 'bool', default: false, meaning: 'TCP keepalive', status: 'used' },
  redisClientName: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'CLIENT SETNAME of result connections',
    status: 'used',
  },
  redisBackendHealthCheckInterval: {
    type: 'seconds',
    default: null,
    nullable: true,
    unit: 's',
    meaning: 'Time between PINGs on idle result connections',
    status: 'used',
  },
  redisBackendCredentialProvider: {
    type: 'any',
    default: null,
    meaning: 'Credential provider of result connections',
    secret: true,
    status: 'used',
  },
};
