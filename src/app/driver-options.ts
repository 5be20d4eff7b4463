import type { TransportOptions } from '../transports/drivers.ts';
import { SETTINGS, type Config } from './settings.ts';

/*
 * Settings that are a driver's business, handed on under the names of its transport options. What the transport
 * options themselves say wins.
 */

type BrokerSettings = Pick<
  Config,
  | 'brokerTransportOptions'
  | 'brokerUseSsl'
  | 'publisherConfirms'
  | 'brokerConnectionTimeout'
  | 'brokerHeartbeat'
  | 'brokerLoginMethod'
  | 'brokerNativeDelayedDeliveryQueueType'
>;

const AMQP_URL = /^(?:amqps?|pyamqp|librabbitmq)\b/i;

/**
 * `brokerTransportOptions` with `brokerUseSsl` as `ssl`, and for AMQP the settings `broker…` and `publisherConfirms`.
 * @param quorum the app has quorum queues: RabbitMQ keeps what is due later
 */
export function brokerOptions(conf: BrokerSettings, url: string, quorum = false): TransportOptions {
  const options = conf.brokerTransportOptions ?? {};
  return {
    ...(conf.brokerUseSsl === false ? {} : { ssl: conf.brokerUseSsl }),
    ...(AMQP_URL.test(url) ? amqpOptions(conf, options, quorum) : {}),
    ...options,
  };
}

/** Differs: Celery's 120 s of `brokerHeartbeat` are left to the driver, which notices a dead broker sooner. */
function amqpOptions(conf: BrokerSettings, options: TransportOptions, quorum: boolean): TransportOptions {
  const heartbeat = conf.brokerHeartbeat;
  const own: readonly [value: unknown, name: string, ...aliases: string[]][] = [
    [conf.publisherConfirms, 'confirm_publish', 'confirmPublish'],
    [
      Math.max(1, conf.brokerConnectionTimeout),
      'connect_timeout',
      'connectTimeout',
      'socket_connect_timeout',
      'socketConnectTimeout',
    ],
    [heartbeat === SETTINGS.brokerHeartbeat.default ? null : heartbeat, 'heartbeat'],
    [conf.brokerLoginMethod, 'login_method', 'loginMethod'],
    [quorum || null, 'native_delayed_delivery', 'nativeDelayedDelivery'],
    [conf.brokerNativeDelayedDeliveryQueueType, 'native_delayed_delivery_queue_type', 'nativeDelayedDeliveryQueueType'],
  ];
  return Object.fromEntries(
    own
      .filter(([value, ...names]) => value !== null && names.every((name) => options[name] === undefined))
      .map(([value, name]) => [name, value]),
  );
}

type RedisSettings = Pick<
  Config,
  | 'resultBackendTransportOptions'
  | 'redisBackendUseSsl'
  | 'redisHost'
  | 'redisMaxConnections'
  | 'redisPort'
  | 'redisDb'
  | 'redisUsername'
  | 'redisPassword'
  | 'redisSocketTimeout'
  | 'redisSocketConnectTimeout'
  | 'redisSocketKeepalive'
  | 'redisClientName'
  | 'redisBackendHealthCheckInterval'
  | 'redisBackendCredentialProvider'
>;

const REDIS_URL = /^(?:redis|rediss|redis\+socket|valkey|valkeys|sentinel):|^(?:redis|rediss|valkey|valkeys)$/i;

/**
 * `resultBackendTransportOptions`, and for Redis the settings `redis…`.
 * Differs: Celery's 120 s of `redisSocketTimeout` are left to the driver, which notices a dead server sooner.
 */
export function backendOptions(url: string, conf: RedisSettings): TransportOptions {
  const options = conf.resultBackendTransportOptions ?? {};
  if (!REDIS_URL.test(url)) return options;
  const timeout = conf.redisSocketTimeout;
  const own = {
    ssl: conf.redisBackendUseSsl,
    socket_timeout: timeout === SETTINGS.redisSocketTimeout.default ? null : timeout,
    socket_connect_timeout: conf.redisSocketConnectTimeout,
    socket_keepalive: conf.redisSocketKeepalive || null,
    client_name: conf.redisClientName,
    max_connections: conf.redisMaxConnections,
    health_check_interval: conf.redisBackendHealthCheckInterval,
    credential_provider: conf.redisBackendCredentialProvider,
  };
  return { ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== null)), ...options };
}

/**
 * The URL of the result backend; what a Redis URL leaves open comes from `redisHost`, `redisPort`, `redisDb`,
 * `redisUsername` and `redisPassword`. Source: `RedisBackend.__init__` of celery.backends.redis.
 */
export function backendUrl(url: string, conf: RedisSettings): string {
  const match =
    /^(redis|rediss|valkey|valkeys)(?::\/\/(?:(.*)@)?([^/?:]*|\[[^\]]*\])(?::(\d+))?(\/[^?]*)?(\?.*)?)?$/is.exec(url);
  if (match === null) return url;
  const [, scheme, user, host, port, path, query] = match;
  const given = [conf.redisHost, conf.redisPort, conf.redisDb, conf.redisUsername, conf.redisPassword];
  if (given.every((value) => value === null)) return url;
  const place = [
    host || (conf.redisHost ?? 'localhost'),
    port ?? (conf.redisPort === null ? undefined : String(conf.redisPort)),
  ].filter((part) => part !== undefined);
  const db = path === undefined || path === '/' ? `/${conf.redisDb ?? 0}` : path;
  return `${scheme}://${user === undefined ? userInfo(conf) : `${user}@`}${place.join(':')}${db}${query ?? ''}`;
}

function userInfo({ redisUsername, redisPassword }: RedisSettings): string {
  if (redisUsername === null && redisPassword === null) return '';
  const password = redisPassword === null ? '' : `:${encodeURIComponent(redisPassword)}`;
  return `${encodeURIComponent(redisUsername ?? '')}${password}@`;
}
